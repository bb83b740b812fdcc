"""A lesson, as its folder describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kprobesim.course.actions import Action, parse_actions
from kprobesim.course.goals import Goal, read_goal
from kprobesim.course.pages import Page, read_pages
from kprobesim.course.questions import Prediction, read_prediction
from kprobesim.course.start import Start, read_start
from kprobesim.course.state_goals import AnswerGoal
from kprobesim.course.strict import ID, Strict, read_text, read_toml
from kprobesim.errors import BadInput
from kprobesim.i18n import LANGUAGES, Language

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["FORMAT", "NARRATIONS", "PARTS", "Lesson", "Task", "read_lesson"]

FORMAT: Final = 2
PARTS: Final = ("machine", "kprobes", "bpf", "tracefs", "classic")
NARRATIONS: Final = ("full", "brief")
_MOST_TASKS: Final = 24
_MOST_GOALS: Final = 12
_MOST_HINTS: Final = 6


@dataclass(frozen=True)
class Task:
    """Something to do or to answer.

    Attributes:
        id: its name.
        titles: what to do, one sentence, by language.
        goals: all of them must be met.
        hints: from a nudge to the way to do it, by language.
        praise: told when it is done: why that was it; by language, or empty.
        solution: actions that lead from the state after the task before to its goals.
    """

    id: str
    titles: Mapping[str, str]
    goals: tuple[Goal, ...]
    hints: tuple[Mapping[str, str], ...]
    praise: Mapping[str, str]
    solution: tuple[Action, ...]

    def title(self, language: Language) -> str:
        """What to do."""
        return self.titles[language]

    @property
    def question(self) -> AnswerGoal | None:
        """What it asks, if it is answered and not done."""
        for goal in self.goals:
            if isinstance(goal.what, AnswerGoal):
                return goal.what
        return None


@dataclass(frozen=True)
class Lesson:
    """A lesson.

    Attributes:
        id: name of its folder.
        folder: where it is.
        part: of the course, one of `PARTS`.
        titles, summaries: by language.
        minutes: how long it takes a learner.
        prerequisites: lessons to know before, by id.
        start: the machine it begins with.
        differs: what differs from Linux, by language.
        pitfall: a mistake worth knowing, by language; empty if there is none.
        narration: how much a screen tells of each step: ``full``, or ``brief`` (what happened; why on demand).
        tasks: in their order.
        predictions: by id.
    """

    id: str
    folder: Path
    part: str
    titles: Mapping[str, str]
    summaries: Mapping[str, str]
    minutes: int
    prerequisites: tuple[str, ...]
    start: Start
    differs: Mapping[str, str]
    pitfall: Mapping[str, str]
    narration: str
    tasks: tuple[Task, ...]
    predictions: Mapping[str, Prediction]

    def title(self, language: Language) -> str:
        """What it is called."""
        return self.titles[language]

    def summary(self, language: Language) -> str:
        """What it is about, one sentence."""
        return self.summaries[language]

    def source(self, language: Language) -> str:
        """The Markdown of a language, as written.

        Raises:
            BadInput: it cannot be read.
        """
        return read_text(self.folder, f"{language}.md")

    def pages(self, language: Language) -> tuple[Page, ...]:
        """The text in its pages.

        Raises:
            BadInput: it cannot be read, or does not fit the tasks.
        """
        name = self.folder / f"{language}.md"
        return read_pages(self.source(language), name, [task.id for task in self.tasks], list(self.predictions))

    def text(self, language: Language) -> str:
        """All that is to be read, as Markdown, with the tasks' titles where they belong."""
        return "\n\n".join(page.markdown(self._line(language)) for page in self.pages(language))

    def task(self, name: str) -> Task:
        """A task by its id.

        Raises:
            BadInput: there is none.
        """
        for task in self.tasks:
            if task.id == name:
                return task
        known = ", ".join(task.id for task in self.tasks)
        raise BadInput(f"{self.id} has no task {name[:64]!r}.", hint=f"There are: {known}.")

    def open(self) -> Lab:
        """A new machine at the lesson's start.

        Raises:
            KprobesimError: it cannot be brought there.
        """
        return self.start.open(self.folder)

    def _line(self, language: Language) -> Mapping[str, str]:
        titles = {f"task {task.id}": task.titles[language] for task in self.tasks}
        return titles | {f"predict {one.id}": one.question[language] for one in self.predictions.values()}


def read_lesson(folder: Path) -> Lesson:
    """Read the description of a lesson. The texts are read when they are shown.

    Args:
        folder: with ``lesson.toml``, ``en.md`` and ``zh.md``.

    Raises:
        BadInput: something in it is missing, damaged, unknown or too large.
    """
    table = read_toml(folder, "lesson.toml")
    if table.number("format_version", most=1 << 32) != FORMAT:
        table.refuse(
            f"format_version is not {FORMAT}.", "format_version", hint="It was made for another version of kprobesim."
        )
    name = table.name("id")
    if name != folder.resolve().name:
        table.refuse(f"id is {name}, but the folder is called {folder.resolve().name[:64]}.", "id")
    tasks = tuple(_task(one) for one in table.tables("task", most=_MOST_TASKS))
    predictions = [read_prediction(one) for one in table.tables("prediction", most=_MOST_TASKS)]
    lesson = Lesson(
        id=name,
        folder=folder,
        part=table.choice("part", PARTS),
        titles=table.by_language("title"),
        summaries=table.by_language("summary"),
        minutes=table.number("minutes", least=1, most=240),
        prerequisites=_prerequisites(table),
        start=read_start(table.table("start")),
        differs=table.by_language("differs"),
        pitfall=table.by_language("pitfall", needed=False),
        narration=table.choice("narration", NARRATIONS, "full"),
        tasks=tasks,
        predictions={one.id: one for one in predictions},
    )
    table.done()
    if not tasks:
        table.refuse("there is no [[task]].")
    names = [task.id for task in tasks] + [one.id for one in predictions]
    for one in names:
        if names.count(one) > 1:
            table.refuse(f"{one} is the id of two tasks or predictions.")
    return lesson


def _prerequisites(table: Strict) -> tuple[str, ...]:
    names = table.texts("prerequisites", most=16)
    for name in names:
        if not ID.fullmatch(name):
            table.refuse(f"{name[:64]!r} is not the id of a lesson.", "prerequisites")
    return names


def _task(table: Strict) -> Task:
    goals = tuple(read_goal(one) for one in table.tables("goal", most=_MOST_GOALS))
    hints: list[Mapping[str, str]] = []
    for one in table.tables("hint", most=_MOST_HINTS):
        hints.append({language: one.text(language) for language in LANGUAGES})
        one.done()
    task = Task(
        id=table.name("id"),
        titles=table.by_language("title"),
        goals=goals,
        hints=tuple(hints),
        praise=table.by_language("praise", needed=False),
        solution=table.parsed("solution", "", parse_actions),
    )
    table.done()
    if not goals:
        table.refuse("a task has at least one [[task.goal]].")
    if sum(isinstance(goal.what, AnswerGoal) for goal in goals) > 1:
        table.refuse("a task asks at most one question.", "goal")
    return task
