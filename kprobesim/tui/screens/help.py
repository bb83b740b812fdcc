"""The help screen: what the focused panel shows, and every key."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Markdown, Static

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.actions import GROUPS, Place, entries
from kprobesim.tui.cells import fit, wrap
from kprobesim.tui.key_names import keys_in_ascii
from kprobesim.tui.keymap import Keymap
from kprobesim.tui.screens.dialog import Dialog
from kprobesim.tui.wording import say

__all__ = ["HelpScreen"]

_WIDTH = 96


class HelpScreen(Dialog[None]):
    """Closed by Esc, F1, Enter or q.

    Args:
        place: the kind of screen.
        panel: name of the panel to explain, or empty for the screen as a whole.
        language: of the help.
        keymap: the user's own keys.
        plain: name keys in letters of ASCII.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,enter,q", "dismiss", show=False)]

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll {
        width: 96; max-width: 96%; height: 90%; border: round $primary; background: $surface; padding: 0 1;
    }
    HelpScreen Markdown { padding: 0; margin: 0 0 1 0; }
    """

    def __init__(self, place: Place, panel: str, language: Language, keymap: Keymap, *, plain: bool = False) -> None:
        super().__init__(language)
        self._place: Place = place
        self._panel = panel
        self._keymap = keymap
        self._plain = plain

    def compose(self) -> ComposeResult:
        """The panel's text, then the keys by group."""
        with VerticalScroll():
            yield Markdown(self._about(self._language))
            yield Static(self._keys(self._language), id="keys")

    def tell(self, language: Language) -> None:
        """Title and foot; what is long is there from the first moment, so that the bar beside it is right."""
        box = self.query_one(VerticalScroll)
        box.border_title, box.border_subtitle = say(language, "help.title"), say(language, "help.close")

    def retell(self, language: Language) -> None:
        """The panel's text and the keys as well."""
        super().retell(language)
        self.query_one("#keys", Static).update(self._keys(language))
        self.query_one(Markdown).update(self._about(language))

    def _about(self, language: Language) -> str:
        if not self._panel:
            return say(language, f"help.{self._place}")
        title = say(language, f"panel.{self._panel}.title")
        return f"## {title}\n\n{say(language, f'panel.{self._panel}.help')}\n\n{say(language, 'help.marks')}"

    def _keys(self, language: Language) -> Content:
        listed = entries(self._place, self._keymap.keys)
        if self._plain:
            listed = [entry._replace(keys=keys_in_ascii(entry.keys)) for entry in listed]
        column = max(cell_len(entry.keys) for entry in listed) + 2
        width = min(_WIDTH, self.app.size.width * 24 // 25) - 8
        lines: list[Content] = []
        for group in GROUPS:
            here = [entry for entry in listed if entry.group == group]
            if not here:
                continue
            lines.append(Content.styled(say(language, f"help.group.{group}"), styles.HEAD))
            for entry in here:
                title = entry.title(language)
                lines.append(Content.assemble(" ", (fit(entry.keys, column), styles.STRONG), title))
                said = entry.help(language)
                told = wrap(keys_in_ascii(said) if self._plain else said, max(width - column, 20))
                lines += [Content.styled(f" {' ' * column}{line}", styles.DIM) for line in told]
            lines.append(Content(""))
        return Content("\n").join(lines)
