"""What a learner has done, kept between sessions.

One JSON file for each lesson in the user's data folder. It is written beside the old one and then put in its place, so
that a full disk or a killed process leaves the old one whole. A file that cannot be read is kept aside under another
name; the learner begins anew and is told so.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from kprobesim.course.strict import ID
from kprobesim.errors import KprobesimError

__all__ = ["Progress", "ProgressStore", "default_store"]

_FORMAT: Final = 1
_MAX_FILE: Final = 1 << 20
_MOST: Final = 1_000
_MAX_TEXT: Final = 300_000


@dataclass
class Progress:
    """How far somebody is in a lesson.

    Attributes:
        done: tasks that were met, by id.
        skipped: tasks passed over.
        hints: how many hints were shown, by task.
        answers: the last answer, by task.
        choices: the option chosen at a prediction, counted from 1.
        revealed: predictions whose answer was shown.
        kept: how many of the inputs that the lesson's start made lie before those of the learner.
        inputs: what the learner did to the machine: at which instruction, and the action as it is written.
        head: the furthest instruction that was reached.
        moment: where the machine stood: instruction, event, step; empty for the start.
        task_seq: how many events lay behind the moment at which the present task began.
        steps: how many of the steps that the text lists were made.
        lost: something was done to the machine that cannot be done again from here, so it cannot be resumed.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    hints: dict[str, int] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    choices: dict[str, int] = field(default_factory=dict)
    revealed: list[str] = field(default_factory=list)
    kept: int = 0
    inputs: list[tuple[int, str]] = field(default_factory=list)
    head: int = 0
    moment: tuple[int, ...] = ()
    task_seq: int = 0
    steps: int = 0
    lost: bool = False


class ProgressStore:
    """A folder of progress files.

    Args:
        folder: made when something is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, lesson: str) -> Path:
        """The file of a lesson."""
        return self.folder / f"{lesson}.json"

    def load(self, lesson: str) -> tuple[Progress, str]:
        """What was saved of a lesson.

        Args:
            lesson: its id.

        Returns:
            The progress, which is empty if there is none, and a sentence if what was there could not be used.
        """
        path = self.path(lesson)
        try:
            with path.open("rb") as opened:
                data = opened.read(_MAX_FILE + 1)
        except FileNotFoundError:
            return Progress(), ""
        except OSError as error:
            return Progress(), f"{path} cannot be read: {error.strerror}. Nothing of it was changed."
        try:
            return _parse(data), ""
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return Progress(), self._keep_aside(path, str(error) or type(error).__name__)

    def save(self, lesson: str, progress: Progress) -> None:
        """Write the progress of a lesson.

        Raises:
            KprobesimError: it cannot be written; what was saved before is still there.
        """
        path = self.path(lesson)
        text = json.dumps({"format_version": _FORMAT, "lesson": lesson, **asdict(progress)}, ensure_ascii=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_whole(path, text.encode(errors="surrogatepass"))
        except OSError as error:
            raise KprobesimError(
                f"Your progress could not be saved in {path}: {error.strerror or error}.",
                hint="The lesson goes on; what was saved before is still there.",
            ) from None

    def forget(self, lesson: str) -> None:
        """Remove the progress of a lesson.

        Raises:
            KprobesimError: it cannot be removed.
        """
        try:
            self.path(lesson).unlink(missing_ok=True)
        except OSError as error:
            raise KprobesimError(f"{self.path(lesson)} cannot be removed: {error.strerror}.") from None

    def _keep_aside(self, path: Path, why: str) -> str:
        for number in range(1, 1_000):
            aside = path.with_name(f"{path.name}.unreadable-{number}")
            if not aside.exists():
                break
        try:
            path.rename(aside)
        except OSError as error:
            return f"{path} is not a progress file of this version ({why}), and cannot be put aside: {error.strerror}."
        return f"{path} is not a progress file of this version ({why}). It was kept as {aside.name}."


def default_store() -> ProgressStore:
    """The store in the user's data folder; ``KPROBESIM_DATA`` names another one."""
    from platformdirs import user_data_path

    named = os.environ.get("KPROBESIM_DATA")
    return ProgressStore((Path(named) if named else user_data_path("kprobesim", appauthor=False)) / "progress")


def _write_whole(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _parse(data: bytes) -> Progress:
    if len(data) > _MAX_FILE:
        raise ValueError("it is too large")
    table: Any = json.loads(data.decode())
    if not isinstance(table, dict) or table.get("format_version") != _FORMAT:
        raise ValueError(f"format_version is not {_FORMAT}")
    moment = tuple(_counts(table["moment"]))
    if len(moment) not in (0, 3):
        raise ValueError("moment has another length")
    return Progress(
        done=_names(table["done"]),
        skipped=_names(table["skipped"]),
        hints={_name(key): _count(value) for key, value in _table(table["hints"]).items()},
        answers={_name(key): _text(value) for key, value in _table(table["answers"]).items()},
        choices={_name(key): _count(value) for key, value in _table(table["choices"]).items()},
        revealed=_names(table["revealed"]),
        kept=_count(table["kept"]),
        inputs=[(_count(insn), _text(line)) for insn, line in _list(table["inputs"])],
        head=_count(table["head"]),
        moment=moment,
        task_seq=_count(table["task_seq"]),
        # Files of earlier versions do not have it.
        steps=_count(table.get("steps", 0)),
        lost=table["lost"] is True,
    )


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST:
        raise ValueError("a list is damaged")
    return value


def _table(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict) or len(value) > _MOST:
        raise ValueError("a table is damaged")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 50:
        raise ValueError("a number is damaged")
    return value


def _counts(value: Any) -> list[int]:
    return [_count(one) for one in _list(value)]


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ValueError("a text is damaged")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise ValueError("a name is damaged")
    return value


def _names(value: Any) -> list[str]:
    return [_name(one) for one in _list(value)]
