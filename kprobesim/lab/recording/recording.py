"""A recording: everything that is needed to live a machine's life again, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kprobesim.errors import BadInput
from kprobesim.kprobes import FixUp
from kprobesim.lab.profiles import Profile
from kprobesim.lab.recording.shape import REFERRING, check_input, whole_number
from kprobesim.machine import Moment

__all__ = ["FORMAT_VERSION", "Bookmark", "Recording", "Step"]

FORMAT_VERSION: Final = 1
_FORMAT: Final = "kprobesim recording"
_MOST_INPUTS: Final = 10_000
_MOST_BOOKMARKS: Final = 1_000
_MOST_EVENTS: Final = 1_000_000
_LONGEST: Final = 20_000_000_000
_NOTE: Final = 2_000
_FIXUPS: Final = {fixup.value: fixup for fixup in FixUp}


@dataclass(frozen=True, slots=True)
class Step:
    """One input.

    Attributes:
        insn: instructions retired before it.
        resting: all CPUs waited.
        kind: one of `INPUT_KINDS`.
        data: its arguments.
        of: number of the input whose probe or attachment it takes away, or None.
    """

    insn: int
    resting: bool
    kind: str
    data: Mapping[str, Any]
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A moment worth coming back to, and a note."""

    moment: Moment
    note: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A life of a machine as data.

    Attributes:
        kernel: name of an image that ships, or a path.
        image: SHA-256 of the image's file, in hex.
        profile, cpus, seed, optimization, without: as for `Lab.open`.
        start: instruction at which the experiment begins.
        head: instructions that were retired in the end.
        events: how many events lie before that.
        digest: SHA-256 over these events, in hex.
        inputs: what came from outside, in order.
        bookmarks: in order of time.
        notes: any text about the whole.
        moment: where the machine stood when it was saved.
    """

    kernel: str
    image: str
    profile: Profile
    cpus: int
    seed: int
    optimization: bool
    start: int
    head: int
    events: int
    digest: str
    inputs: tuple[Step, ...]
    bookmarks: tuple[Bookmark, ...] = ()
    notes: str = ""
    moment: Moment = field(default=Moment(0))
    without: frozenset[FixUp] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """What is written into a file."""
        return {
            "format": _FORMAT,
            "version": FORMAT_VERSION,
            "kernel": self.kernel,
            "image_sha256": self.image,
            "profile": self.profile.value,
            "cpus": self.cpus,
            "seed": self.seed,
            "optimization": self.optimization,
            "without": sorted(fixup.value for fixup in self.without),
            "start": self.start,
            "head": self.head,
            "events": self.events,
            "events_sha256": self.digest,
            "moment": list(self.moment),
            "notes": self.notes,
            "bookmarks": [{"moment": list(mark.moment), "note": mark.note} for mark in self.bookmarks],
            "inputs": [
                {"insn": step.insn, "resting": step.resting, "kind": step.kind, **dict(step.data)}
                | ({} if step.of is None else {"of": step.of})
                for step in self.inputs
            ],
        }

    @classmethod
    def from_json(cls, plain: Any) -> Recording:
        """The way back, from whatever a stranger's file holds.

        Raises:
            BadInput: it is not a recording, of another version, or damaged; one sentence says where.
        """
        if not isinstance(plain, dict) or plain.get("format") != _FORMAT:
            raise BadInput("This is not a kprobesim recording.", hint="kprobesim record makes one.")
        version = plain.get("version")
        if version != FORMAT_VERSION:
            raise BadInput(
                f"The recording is of format version {str(version)[:20]}; this kprobesim reads {FORMAT_VERSION}.",
                hint="Record it again with this version, or use the one that made it.",
            )
        take = _Fields(plain)
        without = take.items("without", len(_FIXUPS))
        if any(not isinstance(name, str) or name not in _FIXUPS for name in without):
            raise BadInput(f"The recording is damaged: without must be out of {', '.join(_FIXUPS)}.")
        head = take.number("head", _LONGEST)
        recording = cls(
            kernel=take.text("kernel", 1_000),
            image=take.digest("image_sha256"),
            profile=Profile.parse(take.text("profile", 40)),
            cpus=take.number("cpus", 8, least=1),
            seed=take.number("seed", (1 << 64) - 1, least=-(1 << 63)),
            optimization=take.switch("optimization"),
            start=take.number("start", head),
            head=head,
            events=take.number("events", _MOST_EVENTS),
            digest=take.digest("events_sha256"),
            inputs=tuple(_step(number, item, head) for number, item in enumerate(take.items("inputs", _MOST_INPUTS))),
            bookmarks=tuple(_bookmark(item, head) for item in take.items("bookmarks", _MOST_BOOKMARKS)),
            notes=take.text("notes", 100_000),
            moment=_moment(plain.get("moment"), head),
            without=frozenset(_FIXUPS[name] for name in without),
        )
        take.done()
        last = 0
        for number, step in enumerate(recording.inputs):
            if step.insn < last:
                raise BadInput(f"The recording is damaged: input {number} comes before the one ahead of it.")
            last = step.insn
        return recording


class _Fields:
    """Takes keys out of an object one by one."""

    def __init__(self, plain: dict[str, Any]) -> None:
        self._plain = plain
        self._asked = {"format", "version", "moment"}

    def _get(self, key: str, kind: type, what: str) -> Any:
        self._asked.add(key)
        value = self._plain.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise BadInput(f"The recording is damaged: {key} must be {what}.")
        return value

    def text(self, key: str, limit: int) -> str:
        value: str = self._get(key, str, "text")
        if len(value) > limit or "\0" in value:
            raise BadInput(f"The recording is damaged: {key} is longer than {limit:,} characters.")
        return value

    def digest(self, key: str) -> str:
        value = self.text(key, 64)
        if len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise BadInput(f"The recording is damaged: {key} must be 64 hex digits.")
        return value

    def number(self, key: str, most: int, *, least: int = 0) -> int:
        return whole_number(self._get(key, int, "a whole number"), key, least, most)

    def switch(self, key: str) -> bool:
        value: bool = self._get(key, bool, "true or false")
        return value

    def items(self, key: str, most: int) -> list[Any]:
        value: list[Any] = self._get(key, list, "a list")
        if len(value) > most:
            raise BadInput(f"The recording is damaged: there are more than {most:,} {key}.")
        return value

    def done(self) -> None:
        for key in self._plain:
            if key not in self._asked:
                raise BadInput(f"The recording is damaged: it has an unknown key {key[:40]!r}.")


def _step(number: int, item: Any, head: int) -> Step:
    where = f"input {number}"
    if not isinstance(item, dict) or not isinstance(item.get("kind"), str):
        raise BadInput(f"The recording is damaged: {where} has no kind.")
    data = {name: value for name, value in item.items() if name not in ("insn", "resting", "kind", "of")}
    check_input(item["kind"], data, where)
    if not isinstance(item.get("resting"), bool):
        raise BadInput(f"The recording is damaged: {where}: resting must be true or false.")
    of = None
    if item["kind"] in REFERRING:
        of = whole_number(item.get("of"), f"{where}: of", 0, max(number - 1, 0))
    elif "of" in item:
        raise BadInput(f"The recording is damaged: {where}: {item['kind']} takes nothing away.")
    return Step(whole_number(item.get("insn"), f"{where}: insn", 0, head), item["resting"], item["kind"], data, of)


def _bookmark(item: Any, head: int) -> Bookmark:
    if not isinstance(item, dict) or set(item) != {"moment", "note"} or not isinstance(item["note"], str):
        raise BadInput("The recording is damaged: a bookmark has a moment and a note.")
    if len(item["note"]) > _NOTE:
        raise BadInput(f"The recording is damaged: a bookmark's note is longer than {_NOTE:,} characters.")
    return Bookmark(_moment(item["moment"], head), item["note"])


def _moment(item: Any, head: int) -> Moment:
    if not isinstance(item, list) or len(item) != 3:
        raise BadInput("The recording is damaged: a moment is a list of three numbers.")
    insn, event, step = item
    return Moment(
        whole_number(insn, "a moment's instruction", 0, head + 1),
        whole_number(event, "a moment's event", 0, 1_000_000),
        whole_number(step, "a moment's step", 0, 10_000_000),
    )
