"""The command palette's source: every action of the registry, in both languages."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from kprobesim.i18n import LANGUAGES, Language
from kprobesim.tui.actions import Entry, entries
from kprobesim.tui.screens.base import SizedScreen

__all__ = ["ActionProvider"]


class ActionProvider(Provider):
    """Finds actions by title or help, whatever the language on the screen."""

    def _offers(self) -> list[tuple[Entry, Language]]:
        screen = self.screen
        if not isinstance(screen, SizedScreen):
            return []
        listed = entries(screen.PLACE, screen.keymap.keys)
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
