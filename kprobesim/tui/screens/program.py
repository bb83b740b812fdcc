"""A dialog to write a BPF program in, to be loaded and attached."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, TextArea

from kprobesim.i18n import Language
from kprobesim.tui.screens.dialog import Dialog
from kprobesim.tui.wording import say

__all__ = ["TEMPLATE", "Draft", "ProgramScreen", "draft_beside"]

TEMPLATE = """\
.type kprobe
.license GPL
.map counts hash key=4 value=8 max_entries=64
  call get_current_pid_tgid
  r0 >>= 32
  *(u32 *)(r10 -4) = r0
  r1 = 1
  *(u64 *)(r10 -16) = r1
  r1 = map counts
  r2 = r10
  r2 += -4
  r3 = r10
  r3 += -16
  r4 = 0
  call map_update_elem
  r0 = 0
  exit
"""
"""What a new program begins as: it counts hits by process."""
_MOST = 100_000
_WORTH_CHANGING: Final = 4
"""Lines; a program that is shorter only shows some mistake."""
_QUOTED: Final = re.compile(r"^```bpf[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Draft:
    """A program as somebody wrote it.

    Attributes:
        name: what events call it.
        where: the place to attach it to, as behind the lessons' ``attach``; empty for none.
        text: its assembly.
        send: it is to be loaded; otherwise only kept for the next time.
        quoted: the program of a text that it began as; empty for none.
    """

    name: str
    where: str
    text: str = TEMPLATE
    send: bool = False
    quoted: str = ""


def draft_beside(draft: Draft, page: str) -> Draft:
    """The draft to go on from where a text is read: the page's last program, unless another one is being worked on.

    Args:
        draft: as it was put aside or loaded.
        page: the page, as Markdown.
    """
    quoted = [text for text in _QUOTED.findall(page) if text.count("\n") >= _WORTH_CHANGING]
    if not quoted or quoted[-1] == draft.quoted or not (draft.send or draft.text in (TEMPLATE, draft.quoted)):
        return draft
    return replace(draft, text=quoted[-1], quoted=quoted[-1], send=False)


class ProgramScreen(Dialog[Draft]):
    """Answers the draft, also when it is only put aside.

    Args:
        draft: to go on from.
        language: of the words.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(False)", show=False, priority=True),
        Binding("ctrl+s,f9", "leave(True)", show=False, priority=True),
    ]

    DEFAULT_CSS = """
    ProgramScreen { align: center middle; }
    ProgramScreen > Vertical {
        width: 90; max-width: 100%; height: 90%; border: round $primary; background: $surface; padding: 0 1;
    }
    ProgramScreen Label { width: 1fr; height: auto; }
    ProgramScreen Horizontal { height: 1; margin: 0 0 1 0; }
    ProgramScreen Horizontal Label { width: auto; padding: 0 1 0 0; }
    ProgramScreen Input { width: 1fr; border: none; background: $boost; height: 1; padding: 0 1; margin: 0 1 0 0; }
    ProgramScreen Input:focus { border: none; }
    ProgramScreen TextArea { height: 1fr; border: none; padding: 0; }
    ProgramScreen TextArea:focus { border: none; }
    ProgramScreen TextArea .text-area--gutter { color: $foreground 80%; }
    ProgramScreen TextArea .text-area--cursor-gutter { color: $foreground; }
    """

    def __init__(self, draft: Draft, language: Language) -> None:
        super().__init__(language)
        self._draft = draft

    def compose(self) -> ComposeResult:
        """Name and place in one line, the program below."""
        with Vertical():
            with Horizontal():
                yield Label(id="name-label")
                yield Input(self._draft.name, id="name", max_length=32)
                yield Label(id="where-label")
                yield Input(self._draft.where, id="where", placeholder="vfs_read", max_length=200)
            yield TextArea(self._draft.text, id="program", show_line_numbers=True, tab_behavior="focus")

    def on_mount(self) -> None:
        """Begin in the text."""
        self.query_one(TextArea).focus()

    def tell(self, language: Language) -> None:
        """Fill in all words."""
        box = self.query_one(Vertical)
        box.border_title, box.border_subtitle = say(language, "program.title"), say(language, "program.keys")
        for name in ("name", "where"):
            self.query_one(f"#{name}-label", Label).update(say(language, f"program.{name}"))

    def on_paste(self, event: events.Paste) -> None:
        """What is too long for any program is not taken."""
        if len(event.text) > _MOST:
            event.prevent_default()

    def action_leave(self, send: bool) -> None:
        """Load it, or put it aside."""
        name, where = (self.query_one(field, Input).value.strip() for field in ("#name", "#where"))
        text = self.query_one(TextArea).text[:_MOST]
        text = text if text.endswith("\n") else f"{text}\n"
        self.dismiss(Draft(name, where, text, send, self._draft.quoted))
