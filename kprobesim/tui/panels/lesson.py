"""The lesson's foot: the task, its check, the hint, and which key comes next; with what can be clicked."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.widget import Widget

from kprobesim.error_texts import in_language
from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.cells import fit, wrap
from kprobesim.tui.key_names import KEY_NAMES
from kprobesim.tui.lessons.view import LessonView
from kprobesim.tui.wording import say

__all__ = ["LessonBar"]

_BUTTONS = ("check", "hint", "reply", "explore", "skip")
_MORE = ("solution", "reset")
"""Where the frame is wide enough for them."""
_GAPS = (3, 2, 1)
_CORNERS = 6
"""Cells of the frame beside what can be clicked."""
_MOST_GOALS = 3


class LessonBar(Widget):
    """A frame with the progress in its title; never changes its size."""

    DEFAULT_CSS = """
    LessonBar {
        height: 6; border: round $success; border-title-style: bold; border-title-color: $foreground; padding: 0 1;
        border-subtitle-color: $foreground; display: none;
        link-style: none; link-color: $foreground; link-style-hover: bold;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[str, str]] = []
        self._met: list[tuple[str, str]] = []
        self._now = ""
        self._view: LessonView | None = None
        self._language: Language = "en"

    def show(self, view: LessonView, language: Language, *, turned: bool) -> None:
        """Show where the learner is.

        Args:
            view: where.
            language: of the words.
            turned: the page was turned since the machine came to rest: praise was read.
        """
        praised, told = view.praised and not turned, not (view.praised and turned)
        text = view.texts[language]
        blocks = "■" * view.done + "□" * (view.total - view.done)
        state = say(language, "lesson.state_exploring") if view.exploring else ""
        title = say(language, "lesson.task", number=view.number, total=view.total)
        self.border_title = Content(f"{blocks} {say(language, 'lesson.end') if view.over else title} {state}".rstrip())
        self._view, self._language = view, language
        self.border_subtitle = self._buttons(view, language)
        self._lines, self._met = [] if praised else [(text.task, styles.STRONG)], []
        if view.notice:
            self._lines.append((in_language(view.notice, language), styles.FAILED))
        if text.told and told:
            self._lines.append((text.told, ""))
        elif text.goals:
            # Chinese sentences are not parted by blanks.
            between = "" if language == "zh" else " "
            for met, goal, why in text.goals[:_MOST_GOALS]:
                missing = between.join(part for part in (goal, why) if part)
                line = f"✓ {goal}" if met else f"○ {say(language, 'lesson.needed', goal=missing)}"
                self._lines.append((line, ""))
                if met:
                    self._met.append(self._lines[-1])
        elif text.asked is not None:
            self._lines.append((say(language, "lesson.ask", question=text.asked.question), ""))
        self.refresh()

    def tell_next(self, what: str) -> None:
        """Show which key comes next."""
        if what != self._now:
            self._now = what
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """What can be clicked may have more room, or less."""
        if self._view is not None:
            self.border_subtitle = self._buttons(self._view, self._language)

    def _buttons(self, view: LessonView, language: Language) -> Content:
        """All of them if they fit, otherwise those that a task cannot do without."""
        shown = Content("")
        for names, framed in (((*_BUTTONS, *_MORE), True), (_BUTTONS, True), (_BUTTONS, False)):
            parts = [_button(name, view, language, framed) for name in names if _is_offered(name, view, language)]
            for gap in _GAPS:
                shown = Content(" " * gap).join(parts)
                if shown.cell_length <= self.outer_size.width - _CORNERS:
                    return shown
        return shown

    def render(self) -> Content:
        """The task first; goals that are met give way to those that are not; in the last row always the next key."""
        width, height = self.content_size
        height -= 1
        lines = self._wrapped(self._lines, width)
        if len(lines) > height > 0 and self._met:
            lines = self._wrapped([line for line in self._lines if line not in self._met], width)
        if len(lines) > height > 0:
            last, style = lines[height - 1]
            lines = [*lines[: height - 1], (fit(f"{last} ……", width), style)]
        lines += [("", "")] * (height - len(lines))
        now = say(self._language, "lesson.now") + self._now if self._now else ""
        lines.append((fit(now, width), styles.NEXT))
        return Content("\n").join(Content.styled(line, style) for line, style in lines)

    def _wrapped(self, texts: list[tuple[str, str]], width: int) -> list[tuple[str, str]]:
        return [(line, style) for text, style in texts for line in wrap(KEY_NAMES.written(text), max(width, 1))]


def _is_offered(name: str, view: LessonView, language: Language) -> bool:
    if view.over:
        return name in ("explore", "reset")
    return name != "reply" or view.texts[language].asked is not None


def _button(name: str, view: LessonView, language: Language, framed: bool) -> Content:
    word = say(language, f"lesson.button_{'return' if name == 'explore' and view.exploring else name}")
    word = word if framed else word.strip("[]")
    return Content.from_markup(f"[@click=screen.perform('{name}')]$word[/]", word=word)
