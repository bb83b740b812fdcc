"""The command palette's source: every action of the registry, in both languages."""

from __future__ import annotations

from functools import partial

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.widgets import Input

from kprobesim.i18n import LANGUAGES, Language
from kprobesim.tui.actions import Entry, entries
from kprobesim.tui.key_names import keys_in_ascii
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.wording import say

__all__ = ["ActionPalette", "ActionProvider"]


class ActionPalette(CommandPalette):
    """The search for actions.

    Args:
        language: of its words.
        typed: what is searched for at first.
    """

    def __init__(self, language: Language, typed: str = "") -> None:
        super().__init__(placeholder=say(language, "palette.search"))
        self._first = typed

    @property
    def typed(self) -> str:
        """What is searched for."""
        return self.query_one(Input).value

    def on_mount(self) -> None:
        """Go on with what was typed before."""
        box = self.query_one(Input)
        box.value = self._first
        box.cursor_position = len(self._first)


class ActionProvider(Provider):
    """Finds actions by title or help, whatever the language on the screen."""

    def _offers(self) -> list[tuple[Entry, Language]]:
        screen = self.screen
        if not isinstance(screen, SizedScreen):
            return []
        listed = entries(screen.PLACE, screen.keymap.keys)
        if screen.ascii_only:
            listed = [entry._replace(keys=keys_in_ascii(entry.keys)) for entry in listed]
        return [(entry, screen.language) for entry in listed]

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for entry, language in self._offers():
            title = f"{entry.title(language)}  ({entry.keys})"
            yield DiscoveryHit(title, partial(self._perform, entry.id), help=entry.help(language))

    async def search(self, query: str) -> Hits:
        """What fits the words typed, in any language."""
        matcher = self.matcher(query)
        for entry, language in self._offers():
            title = f"{entry.title(language)}  ({entry.keys})"
            words = " ".join(entry.title(other) for other in LANGUAGES)
            score = max(matcher.match(title), matcher.match(words))
            if score > 0:
                yield Hit(score, matcher.highlight(title), partial(self._perform, entry.id), help=entry.help(language))

    def _perform(self, name: str) -> None:
        screen = self.screen
        assert isinstance(screen, SizedScreen)
        screen.action_perform(name)
