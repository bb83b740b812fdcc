"""The command palette's source: every action of the registry, in both languages."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from kprobesim.tui.actions import APP_ACTIONS, LAB_ACTIONS, keys_text
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.screens.lab import LabScreen

__all__ = ["ActionProvider"]


class ActionProvider(Provider):
    """Finds actions by title or help, whatever the language on the screen."""

    def _offers(self) -> list[tuple[str, str, str, str]]:
        """Id, title, help, and all that may be searched for."""
        screen = self.screen
        if not isinstance(screen, SizedScreen):
            return []
        language = screen.language
        offers = []
        in_lab = isinstance(screen, LabScreen)
        for action in (*(LAB_ACTIONS if in_lab else ()), *APP_ACTIONS):
            title, told = action.title(language), action.help(language)  # type: ignore[attr-defined]
            keys = keys_text(action)  # type: ignore[type-var]
            both = " ".join(action.title(other) for other in ("en", "zh"))  # type: ignore[attr-defined]
            offers.append((action.id, f"{title}  ({keys})", told, f"{title} {both}"))  # type: ignore[attr-defined]
        return offers

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for name, title, told, _ in self._offers():
            yield DiscoveryHit(title, partial(self._perform, name), help=told)

    async def search(self, query: str) -> Hits:
        """What fits the words typed."""
        matcher = self.matcher(query)
        for name, title, told, words in self._offers():
            score = max(matcher.match(title), matcher.match(words))
            if score > 0:
                yield Hit(score, matcher.highlight(title), partial(self._perform, name), help=told)

    def _perform(self, name: str) -> None:
        screen = self.screen
        assert isinstance(screen, SizedScreen)
        screen.action_perform(name)
