"""The help screen: what the focused panel shows, and every key."""

from __future__ import annotations

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Markdown, Static

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.actions import APP_ACTIONS, LAB_ACTIONS, keys_text
from kprobesim.tui.cells import fit
from kprobesim.tui.wording import say

__all__ = ["HelpScreen"]

_GROUPS = ("move", "look", "app")


class HelpScreen(ModalScreen[None]):
    """Closed by Esc, F1, Enter or q.

    Args:
        panel: name of the panel to explain, or empty for the start screen.
        language: of the help.
    """

    BINDINGS = [Binding("escape,f1,enter,q", "dismiss", show=False)]

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll { width: 96; max-width: 96%; height: 90%; border: round $primary; background: $surface; padding: 0 1; }
    HelpScreen Markdown { padding: 0; margin: 0 0 1 0; }
    """

    def __init__(self, panel: str, language: Language) -> None:
        super().__init__()
        self._panel = panel
        self._language: Language = language

    def compose(self) -> ComposeResult:
        """The panel's text, then the keys by group."""
        language = self._language
        with VerticalScroll() as box:
            box.border_title = say(language, "help.title")
            box.border_subtitle = say(language, "help.close")
            yield Markdown(self._about())
            yield Static(self._keys())

    def _about(self) -> str:
        language = self._language
        if not self._panel:
            return say(language, "help.start")
        title = say(language, f"panel.{self._panel}.title")
        return f"## {title}\n\n{say(language, f'panel.{self._panel}.help')}\n\n{say(language, 'help.marks')}"

    def _keys(self) -> Content:
        actions = [(item.group, item.id, keys_text(item)) for item in LAB_ACTIONS]
        actions += [(item.group, item.id, keys_text(item)) for item in APP_ACTIONS]
        column = max(cell_len(keys) for _, _, keys in actions) + 2
        lines: list[Content] = []
        for group in _GROUPS:
            lines.append(Content.styled(say(self._language, f"help.group.{group}"), styles.HEAD))
            for where, name, keys in actions:
                if where == group:
                    title = say(self._language, f"action.{name}.title")
                    lines.append(Content.assemble(" ", (fit(keys, column), styles.STRONG), title))
                    lines.append(Content.styled(f" {' ' * column}{say(self._language, f'action.{name}.help')}", "dim"))
            lines.append(Content(""))
        return Content("\n").join(lines)
