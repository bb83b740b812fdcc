"""Where somebody is in the text beside the lab: the page, whether the text is in front, the panel that it asks for."""

from __future__ import annotations

from kprobesim.course import Cue
from kprobesim.course.trail import HELD
from kprobesim.i18n import Language
from kprobesim.tui.lessons.view import LessonView
from kprobesim.tui.lessons.words import Asked

__all__ = ["Reader"]


class Reader:
    """On the screen's thread; it draws nothing.

    Attributes:
        lesson: how the lesson stands; None until there is one.
        in_front: the text is wanted in sight.
        gave_way: it was left for a panel that the page asks for.
        turned: the page was turned since the machine came to rest.
    """

    def __init__(self) -> None:
        self.lesson: LessonView | None = None
        self.in_front = False
        self.gave_way = False
        self.turned = False
        self._page = 0
        self._cue: Cue | None = None
        self._unseen = False
        self._replied: LessonView | None = None

    # The page

    def last_page(self, language: Language) -> int:
        """Index of the last page that may be read; 0 where there is no lesson."""
        return 0 if self.lesson is None else len(self.lesson.texts[language].pages) - 1

    def page(self, language: Language) -> int:
        """Index of the page that is open, at most the last one that may be read."""
        return min(self._page, self.last_page(language))

    def page_text(self, language: Language) -> str:
        """The page that is open, as Markdown; empty where there is no lesson."""
        return "" if self.lesson is None else self.lesson.texts[language].pages[self.page(language)]

    def open_text(self) -> None:
        """The text is wanted in front."""
        self.in_front, self.gave_way = True, False

    def close_text(self) -> None:
        """It is not."""
        self.in_front, self.gave_way = False, False

    def turn(self, by: int, *, narrow: bool) -> str:
        """The page behind this one (1) or before it (-1).

        Args:
            by: so many pages.
            narrow: there is room for the text or a panel, not for both.

        Returns:
            The panel to bring up, or empty.
        """
        assert self.lesson is not None
        self._page = min(max(self._page + by, 0), self.last_page("en"))
        self.turned = True
        if self.gave_way:
            self.open_text()
        return self._cued(self.lesson.made, narrow=narrow)

    def take(self, lesson: LessonView, outcome: str, *, narrow: bool) -> str:
        """The machine came to rest somewhere.

        Args:
            lesson: how the lesson stands by now.
            outcome: key of how the motion ended.
            narrow: there is room for the text or a panel, not for both.

        Returns:
            The panel to bring up, or empty.
        """
        made = self.lesson.made if self.lesson is not None else lesson.made
        if self.lesson is None or outcome == "skipped":
            self._page = lesson.page
            self.open_text()
        elif outcome == "task_met":
            # Who asked whether it is done wants to know how the text goes on.
            self.open_text()
        self.turned = False
        self.lesson = lesson
        return self._cued(made, narrow=narrow)

    # The panel that the page asks for

    @property
    def unseen_panel(self) -> str:
        """The panel that the page asks for, as long as nobody looked at the panels; or empty."""
        return self._cue.panel if self._cue is not None and self._unseen else ""

    def look(self, language: Language) -> str:
        """What the page says there is to see in its panel, once the steps before that were made; or empty."""
        if self.lesson is None:
            return ""
        due = [
            number
            for number, cue in enumerate(self.lesson.cues)
            if cue.page == self.page(language) and cue.due <= self.lesson.made
        ]
        return self.lesson.texts[language].looks[due[-1]] if due else ""

    def saw_panels(self) -> None:
        """The panels were in front, and not the text."""
        self._unseen = False

    def _cued(self, made: int, *, narrow: bool) -> str:
        """The panel that the page asks for, once what is listed before it was done.

        Args:
            made: how many of the lesson's steps were made before; where there is no room for the text beside the panel,
                it is left for the panel by a step and never on turning a page, as then it is to be read.
            narrow: there is no such room.
        """
        lesson = self.lesson
        assert lesson is not None
        here = [cue for cue in lesson.cues if cue.page == self._page]
        cue = next((cue for cue in reversed(here) if cue.step <= lesson.made), None)
        fresh = cue is not None and cue != self._cue
        self._unseen = fresh or (self._unseen and cue is not None)
        self._cue = cue
        if narrow and any(made < one.due <= lesson.made for one in here):
            self.in_front, self.gave_way, fresh = False, True, True
        return cue.panel if fresh and cue is not None else ""

    # What the page asks of the hands

    @property
    def asks_to_hold(self) -> bool:
        """Whether the page lists a step for which a key is held."""
        return self.lesson is not None and any(
            step.page == self._page and step.key in HELD for step in self.lesson.steps
        )

    def asked(self, language: Language) -> Asked | None:
        """The question with options that stands on the page that is open."""
        if self.lesson is None or self._page < self.last_page(language):
            return None
        asked = self.lesson.texts[language].asked
        return asked if asked is not None and asked.options else None

    @property
    def has_replied(self) -> bool:
        """The question was answered, and the machine still works out whether that is right."""
        return self._replied is not None and self._replied is self.lesson

    def reply(self) -> None:
        """The question is being answered."""
        self._replied = self.lesson

    def reply_failed(self) -> None:
        """It could not be."""
        self._replied = None
