"""A dialog that asks which one thing should have been different, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from kprobesim.error_texts import in_language
from kprobesim.errors import BadInput
from kprobesim.i18n import Language
from kprobesim.kprobes import FixUp
from kprobesim.lab import Lab, Profile
from kprobesim.lab.change import Change, FixUpOff, ProfileChange, read_bytes, read_register
from kprobesim.tui.motions import read_place
from kprobesim.tui.screens.dialog import Dialog
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.targets import Target
from kprobesim.tui.wording import say

__all__ = ["WhatIfForm", "Wish", "change_of"]

Sort = Literal["byte", "register", "profile", "without"]
_MOMENTARY: Final = ("byte", "register")
_EXAMPLE: Final = "vfs_read+0x1=90"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to be different.

    Attributes:
        sort: of what.
        value: as typed for a byte or a register, otherwise the name of the profile or of the step.
        at: as typed; empty where the lab stands.
    """

    sort: Sort
    value: str
    at: str = ""


def change_of(wish: Wish, lab: Lab) -> Change:
    """The change that is wished for.

    Raises:
        BadInput: it cannot be read, or there is no such place.
    """
    match wish.sort:
        case "byte":
            return read_bytes(wish.value, lab.address_of)
        case "register":
            return read_register(wish.value)
        case "profile":
            return ProfileChange(Profile.parse(wish.value))
        case "without":
            return FixUpOff(FixUp(wish.value))


class WhatIfForm(Dialog[Wish | None]):
    """Answers the wish, or None.

    Args:
        now: the lab's moment: its values stand in the fields.
        target: what the cursor is on, if anything: that is offered first.
        language: of the questions.
        earlier: the wish before this one, which may have had a mistake in it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    DEFAULT_CSS = """
    WhatIfForm { align: center middle; }
    WhatIfForm Vertical {
        width: 78; max-width: 100%; height: auto; max-height: 100%; border: round $primary; background: $surface;
        padding: 0 1;
    }
    WhatIfForm Label { width: 1fr; height: auto; }
    WhatIfForm OptionList { height: auto; max-height: 11; border: none; margin: 0 0 1 0; }
    WhatIfForm OptionList:focus { border: none; }
    WhatIfForm Input { border: none; background: $boost; height: 1; padding: 0 1; }
    WhatIfForm Input:focus { border: none; }
    WhatIfForm #complaint { color: $text-error; text-style: bold; min-height: 1; }
    """

    def __init__(self, now: Snapshot, target: Target | None, language: Language, earlier: Wish | None = None) -> None:
        super().__init__(language)
        self._offers: list[tuple[Sort, str]] = [("byte", ""), ("register", "")]
        self._offers += [("profile", profile.value) for profile in Profile if profile.value != now.profile]
        self._offers += [("without", fixup.value) for fixup in FixUp]
        self._values: dict[str, str] = {"byte": _bytes_at(now, target), "register": _register_of(now, target)}
        self._first = int(target is not None and target.kind == "register")
        self._at = ""
        if earlier is not None:
            self._first = next(
                place
                for place, (sort, value) in enumerate(self._offers)
                if sort == earlier.sort and value in ("", earlier.value)
            )
            if earlier.sort in _MOMENTARY:
                self._values[earlier.sort], self._at = earlier.value, earlier.at

    def compose(self) -> ComposeResult:
        """What there is to choose from, then the two fields for what has a moment."""
        with Vertical():
            yield Label(id="question")
            yield OptionList()
            yield Label(id="value-label")
            yield Input(id="value")
            yield Label(id="at-label")
            yield Input(self._at, id="at")
            yield Label("", id="complaint")

    def tell(self, language: Language) -> None:
        """Fill in all words, keeping the place among the options; first it is what the cursor is on."""
        box = self.query_one(Vertical)
        box.border_title, box.border_subtitle = say(language, "what_if.title"), say(language, "what_if.keys")
        for name, key in (("question", "question"), ("value-label", "value"), ("at-label", "at")):
            self.query_one(f"#{name}", Label).update(say(language, f"what_if.{key}"))
        options = self.query_one(OptionList)
        place = options.highlighted
        options.clear_options()
        options.add_options(Option(Content(self._offer(sort, value))) for sort, value in self._offers)
        options.highlighted = self._first if place is None else place
        self._tell_fields()

    def _tell_fields(self) -> None:
        """What may stand in the fields; with an option that has no moment they are not needed."""
        needed = self._sort in _MOMENTARY
        for name, example in (("value", _EXAMPLE), ("at", say(self._language, "what_if.here"))):
            field = self.query_one(f"#{name}", Input)
            field.disabled = not needed
            field.placeholder = example if needed else say(self._language, "what_if.not_needed")

    def _offer(self, sort: Sort, value: str) -> str:
        return say(self._language, f"what_if.{sort}{'_' if value else ''}{value.replace('-', '_')}")

    @property
    def _sort(self) -> Sort:
        return self._offers[self.query_one(OptionList).highlighted or 0][0]

    @on(OptionList.OptionHighlighted)
    def _looked_at(self, event: OptionList.OptionHighlighted) -> None:
        sort = self._offers[event.option_index][0]
        self._tell_fields()
        self.query_one("#value", Input).value = self._values.get(sort, "")
        self.query_one("#at", Input).value = self._at if sort in _MOMENTARY else ""
        self.query_one("#complaint", Label).update("")

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        sort, value = self._offers[event.option_index]
        if sort in _MOMENTARY:
            self.query_one("#value", Input).focus()
        else:
            self.dismiss(Wish(sort, value))

    @on(Input.Changed, "#value")
    def _typed(self, event: Input.Changed) -> None:
        if self._sort in _MOMENTARY:
            self._values[self._sort] = event.value

    @on(Input.Changed, "#at")
    def _timed(self, event: Input.Changed) -> None:
        if self._sort in _MOMENTARY:
            self._at = event.value

    @on(Input.Submitted)
    def _answered(self) -> None:
        value, at = (self.query_one(name, Input).value for name in ("#value", "#at"))
        wish = Wish(self._sort, value, at)
        try:
            if wish.sort == "register":
                read_register(value)
            else:
                read_bytes(value, lambda place: 0)
            if at.strip():
                read_place(at)
        except BadInput as error:
            self.query_one("#complaint", Label).update(Content(f"✗ {in_language(error, self._language)}"))
            return
        self.dismiss(wish)


def _bytes_at(now: Snapshot, target: Target | None) -> str:
    """Place and bytes of the instruction under the cursor, or of the one about to run."""
    if target is not None and target.kind == "memory":
        return f"{target.number:#x}="
    address = target.number if target is not None and target.kind == "code" else now.code.current
    line = next((line for line in now.code.rows if line.address == address), None)
    if line is None:
        return f"{address:#x}="
    place = f"{now.code.name}+{address - now.code.start:#x}" if now.code.name else f"{address:#x}"
    return f"{place}={line.memory.hex(' ')}"


def _register_of(now: Snapshot, target: Target | None) -> str:
    name = target.name if target is not None and target.kind == "register" else "rax"
    return f"{name}={now.registers.get(name, 0):#x}"
