"""The words of a lesson in one language: its pages as Markdown, what to do now, and the question that waits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kprobesim.course import PANELS, LessonSession, Part, Reveal
from kprobesim.i18n import Language
from kprobesim.tui.key_names import KEY_NAMES
from kprobesim.tui.lessons.step_list import with_short_steps
from kprobesim.tui.wording import say

__all__ = ["Asked", "LessonWords", "answer_keys", "last_part", "option_keys"]

_MARKDOWN: Final = re.compile(r"[!-/:-@\[-`{-~]")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that waits for the learner: of the task at hand, or a prediction.

    Attributes:
        prediction: id of the prediction, or empty for the task's own question.
        question: the question.
        options: to choose from; empty where an answer is typed.
    """

    prediction: str
    question: str
    options: tuple[str, ...]


class LessonWords:
    """What there is to read.

    Args:
        session: of the lesson.
        reveals: what the machine said to predictions in this sitting, by prediction and language.
        solved: id of the task whose solution was asked for, or empty.
        language: of the words.
    """

    def __init__(
        self,
        session: LessonSession,
        reveals: Mapping[tuple[str, Language], Reveal],
        solved: str,
        language: Language,
    ) -> None:
        self._session = session
        self._lesson = session.lesson
        self._reveals = reveals
        self._solved = solved
        self._language: Language = language
        # Chinese sentences are not parted by blanks.
        self._between = "" if language == "zh" else " "

    def pages(self) -> tuple[str, ...]:
        """What may be read by now."""
        visible = self._session.visible(self._language)
        pages = tuple(
            "\n\n".join([f"## {page.title}", *filter(None, (self._part(part) for part in page.parts))])
            for page in visible
        )
        if self._session.task is None and pages:
            pages = (*pages[:-1], "\n\n".join([pages[-1], *self._afterwards()]))
        return pages

    def task(self) -> str:
        """What to do now, or what to say at the end."""
        if self._session.task is not None:
            return self._session.task.title(self._language)
        skipped = self._session.progress.skipped
        key = "lesson.over_skipped" if skipped else "lesson.over"
        return say(self._language, key, tasks=", ".join(skipped))

    def asked(self) -> Asked | None:
        """The question that waits."""
        session, language = self._session, self._language
        last = last_part(session, language)
        if last is not None and last.kind == "predict" and last.text not in session.progress.revealed:
            prediction = self._lesson.predictions[last.text]
            options = tuple(option.text[language] for option in prediction.options)
            return Asked(prediction.id, prediction.question[language], options)
        task = session.task
        if task is None or task.question is None:
            return None
        question = task.question
        return Asked("", question.question[language], tuple(option[language] for option in question.options))

    def verdict(self, name: str) -> str:
        """Whether a prediction was right; the text says why."""
        return self._revealed(name, short=True)

    def _afterwards(self) -> list[str]:
        """What stands below the text once no task is left."""
        language = self._language
        named = (("lesson.differs", self._lesson.differs), ("lesson.pitfall", self._lesson.pitfall))
        return [say(language, key, text=_plain(texts[language])) for key, texts in named if texts]

    def _part(self, part: Part) -> str:
        language = self._language
        if part.kind == "show":
            return ""
        if part.kind == "prose":
            return with_short_steps(part.text)
        if part.kind == "predict":
            prediction = self._lesson.predictions[part.text]
            options = [_plain(option.text[language]) for option in prediction.options]
            head = say(language, "lesson.predict", question=_plain(prediction.question[language]))
            listed = [f"> {number}. {option}" for number, option in enumerate(options, 1)]
            told = _plain(self._revealed(part.text))
            how = ""
            if part.text not in self._session.progress.revealed:
                how = say(language, "lesson.choose", keys=answer_keys(len(options)))
            asked = f"{head}{self._between}{how}".rstrip()
            return "\n".join([f"> **{asked}**", ">", *listed, *((">", f"> {told}") if told else ())])
        task = self._lesson.task(part.text)
        mark = "✓ " if task.id in self._session.progress.done else ""
        number = self._lesson.tasks.index(task) + 1
        head = say(language, "lesson.task", number=number, total=len(self._lesson.tasks))
        lines = [f"> **{mark}{head}** {_plain(task.title(language))}"]
        shown, total = self._session.progress.hints.get(task.id, 0), len(task.hints)
        if task.question is not None:
            choices = task.question.options
            keys = answer_keys(len(choices))
            how = say(language, "lesson.choose", keys=keys) if choices else say(language, "lesson.type_answer")
            asked = _plain(task.question.question[language])
            lines += [">", f"> {asked}{self._between}{'' if mark else how}".rstrip(), ">"]
            lines += [f"> {number}. {_plain(option[language])}" for number, option in enumerate(choices, 1)]
        elif self._lesson.narration == "brief" and not shown and task.id != self._solved:
            # The task stands in its own frame, and little text is to be on the screen.
            return ""
        for given, hint in enumerate(task.hints[:shown], 1):
            lines += [">", f"> {say(language, 'lesson.hint', number=given, total=total, text=_plain(hint[language]))}"]
        if task.id in self._session.progress.done and task.praise:
            lines += [">", f"> {_plain(task.praise[language])}"]
        if task.id == self._solved:
            actions = "\n".join(str(action) for action in task.solution)
            lines += [">", f"> {say(language, 'lesson.solution', lines='')}", "", "```text", actions, "```"]
        return "\n".join(lines)

    def _revealed(self, name: str, *, short: bool = False) -> str:
        """What the machine said to a prediction; empty if it was not asked in this sitting."""
        language = self._language
        revealed = self._reveals.get((name, language))
        if revealed is None:
            return ""
        options = [option.text[language] for option in self._lesson.predictions[name].options]
        key = "lesson.right" if revealed.chosen == revealed.right else "lesson.wrong"
        told = say(language, key, option=options[revealed.right - 1], chosen=options[revealed.chosen - 1])
        if short:
            return told
        right = options[revealed.right - 1]
        new = re.search(rf"(?<!\w){re.escape(revealed.value)}(?!\w)", right, re.ASCII) is None
        value = say(language, "lesson.value", value=revealed.value) if revealed.value and new else ""
        return self._between.join(text for text in (told, value, revealed.explain) if text)


def last_part(session: LessonSession, language: Language) -> Part | None:
    """What the text ends with, as far as it may be read."""
    visible = session.visible(language)
    return next((part for part in reversed(visible[-1].parts) if part.kind != "show"), None) if visible else None


def option_keys(count: int) -> str:
    """The keys that choose one of so many options in a dialog."""
    return " ".join(str(number) for number in range(1, count + 1))


def answer_keys(count: int) -> str:
    """The keys that choose one of them where the question stands in the text: those of so many panels."""
    return " ".join(KEY_NAMES[f"panel_{panel}"] for panel in PANELS[:count])


def _plain(text: str) -> str:
    """A text that Markdown shows as it is: a lesson's titles, questions and hints name pointers and patterns."""
    return _MARKDOWN.sub(r"\\\g<0>", text)
