"""A learner in a lesson: the machine, the task at hand, hints, predictions, and what is kept of all that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from kprobesim.course.actions import Action, parse_action
from kprobesim.course.aside import compute, read_file
from kprobesim.course.conditions import Condition
from kprobesim.course.finding import View
from kprobesim.course.journal import Journal
from kprobesim.course.lesson import Lesson, Task
from kprobesim.course.pages import Page, page_behind, pages_until
from kprobesim.course.perform import Budget
from kprobesim.course.progress import Progress, ProgressStore
from kprobesim.course.questions import Computed, Option, Prediction
from kprobesim.course.readings import first_event
from kprobesim.course.reports import GoalReport, Reveal, TaskReport
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.i18n import Language

if TYPE_CHECKING:
    from kprobesim.lab import Lab
    from kprobesim.machine import Input, Life

__all__ = ["LessonSession"]

_MAX_ANSWER: Final = 1_000
_MOST_COUNTED: Final = 0x7FFF_FFFF


class LessonSession:
    """A lesson under way. `open` makes one; the attributes may be read at any time.

    Nothing here draws, and all of it runs on the thread of whoever calls. The machine is `lab`: step it, seek in it,
    look at it as at any other. What does something *to* it should go through `do`, so that it is remembered and can be
    done again when the lesson is resumed.

    Attributes:
        lesson: what is learnt.
        lab: the machine; the same object for the whole session.
        progress: how far the learner is.
        exploring: the learner has left the lesson and will come back.
        notice: a sentence on something that went wrong with the progress file, for the learner; empty if nothing did.
    """

    def __init__(self, lesson: Lesson, lab: Lab, store: ProgressStore | None = None) -> None:
        self.lesson = lesson
        self.lab = lab
        self.progress = Progress()
        self.exploring = False
        self.notice = ""
        self._store = store
        self._pages: dict[Language, tuple[Page, ...]] = {}
        self._journal = Journal(lab, lesson.folder)
        self._return: tuple[Life, dict[int, tuple[Input, Action]]] | None = None
        self.progress.task_seq = lab.seq

    @classmethod
    def open(cls, lesson: Lesson, store: ProgressStore | None = None, *, lab: Lab | None = None) -> LessonSession:
        """Open a lesson at its start, or where the learner left it.

        Args:
            lesson: which.
            store: where progress is kept; None keeps none.
            lab: a machine that `Lesson.open` made; a new one by default.

        Raises:
            KprobesimError: the lesson's machine cannot be brought to its start.
        """
        session = cls(lesson, lab or lesson.open(), store)
        if store is not None:
            progress, session.notice = store.load(lesson.id)
            session._resume(progress)
        return session

    # Where the learner is

    @property
    def task(self) -> Task | None:
        """The first task that is neither done nor skipped; None at the end of the lesson."""
        over = self._over
        return next((task for task in self.lesson.tasks if task.id not in over), None)

    @property
    def is_done(self) -> bool:
        """Every task was met."""
        return {task.id for task in self.lesson.tasks} <= set(self.progress.done)

    def pages(self, language: Language) -> tuple[Page, ...]:
        """The lesson's text.

        Raises:
            BadInput: it cannot be read.
        """
        if language not in self._pages:
            self._pages[language] = self.lesson.pages(language)
        return self._pages[language]

    @property
    def page(self) -> int:
        """Index of the page with the present task; of the last one at the end."""
        pages, task = self.pages("en"), self.task
        if task is None:
            return len(pages) - 1
        return next(number for number, page in enumerate(pages) if task.id in page.tasks)

    @property
    def next_page(self) -> int:
        """Index of the page on which the text goes on behind the last task that is over."""
        return page_behind(self.pages("en"), self._over)

    @property
    def _over(self) -> set[str]:
        return {*self.progress.done, *self.progress.skipped}

    def visible(self, language: Language) -> tuple[Page, ...]:
        """The text as far as the learner should see it: up to the prediction or the task to be dealt with now.

        Raises:
            BadInput: it cannot be read.
        """
        return pages_until(self.pages(language), self._over, self.progress.revealed)

    # Tasks

    def report(self, task: Task, language: Language) -> TaskReport:
        """How a task stands at this moment; nothing is noted."""
        view = self._view(task)
        goals = []
        for goal in task.goals:
            finding = goal.check(view)
            goals.append(GoalReport(finding.met, goal.text(language, finding), goal.why(language, finding)))
        met = all(goal.met for goal in goals)
        return TaskReport(task.id, met, tuple(goals), task.praise.get(language, "") if met else "")

    def is_met(self, task: Task, *, quick: bool = False) -> bool:
        """Whether all goals of a task are met at this moment; no words are made, so that it may be asked at each step.

        Args:
            task: one of the lesson's.
            quick: only those goals that look at the machine and need not run it aside.
        """
        view = self._view(task)
        return all(goal.check(view).met for goal in task.goals if goal.what.quick or not quick)

    def check(self, language: Language) -> TaskReport:
        """Check the present task, and go on to the next one if it is met.

        While the learner explores, nothing is noted.

        Raises:
            BadInput: the lesson is over.
        """
        task = self._present()
        report = self.report(task, language)
        if report.met and not self.exploring:
            self.progress.done.append(task.id)
            self.progress.task_seq = self.lab.seq
        self._save()
        return report

    def answer(self, text: str, task: str = "") -> None:
        """Answer the question of a task, the present one by default. `check` then says whether it is right.

        Args:
            text: a number, a text, or an option's number.
            task: id of the task.

        Raises:
            BadInput: the task asks nothing, or the answer is too long.
        """
        of = self.lesson.task(task) if task else self._present()
        if of.question is None:
            raise BadInput(f"Task {of.id} asks no question.", hint="Do what it says, then check.")
        if len(text) > _MAX_ANSWER:
            raise BadInput(f"An answer has at most {_MAX_ANSWER:,} characters.")
        self.progress.answers[of.id] = text.strip()
        self._save()

    def hint(self, language: Language) -> str | None:
        """The next hint for the present task; the last one again if there are no more; None if it has none.

        Raises:
            BadInput: the lesson is over.
        """
        task = self._present()
        if not task.hints:
            return None
        shown = min(self.progress.hints.get(task.id, 0) + 1, len(task.hints))
        self.progress.hints[task.id] = shown
        self._save()
        return task.hints[shown - 1][language]

    def skip(self) -> None:
        """Pass over the present task.

        Raises:
            BadInput: the lesson is over.
        """
        self.progress.skipped.append(self._present().id)
        self.progress.task_seq = self.lab.seq
        self._save()

    def show_solution(self) -> tuple[Action, ...]:
        """How the present task can be done.

        Raises:
            BadInput: the lesson is over.
        """
        return self._present().solution

    # Predictions

    def predict(self, name: str, option: int) -> None:
        """Choose an option of a prediction.

        Args:
            name: the prediction's id.
            option: counted from 1.

        Raises:
            BadInput: there is no such prediction or option, or its answer was shown already.
        """
        prediction = self._prediction(name)
        if name in self.progress.revealed:
            raise BadInput("The answer was shown already.")
        if not 1 <= option <= len(prediction.options):
            raise BadInput(f"There is no option {option}; there are 1 to {len(prediction.options)}.")
        self.progress.choices[name] = option
        self._save()

    def reveal(self, name: str, language: Language) -> Reveal:
        """Show the answer of a prediction. Where the lesson says how, the machine works it out, without moving.

        Raises:
            BadInput: there is no such prediction.
            KprobesimError: the machine's answer is none of the options: the lesson is wrong.
        """
        prediction = self._prediction(name)
        right, value = prediction.right, ""
        if prediction.machine is not None:
            value = self.compute(prediction.machine)
            right = self._fitting(prediction.options, value)
            if right == 0:
                raise KprobesimError(
                    f"{self.lesson.id}: prediction {name}: the machine says {value}, which no option is."
                )
            value = prediction.options[right - 1].as_written(value)
        if name not in self.progress.revealed:
            self.progress.revealed.append(name)
            self._save()
        return Reveal(self.progress.choices.get(name, 0), right, _written(value), prediction.explain[language])

    def compute(self, computed: Computed) -> str:
        """What the machine works out; it does not move.

        Raises:
            KprobesimError: it cannot be worked out.
        """
        return compute(self.lab, computed, self._journal.begin, self.lesson.folder)

    # The machine

    def do(self, line: str, text: str = "", *, interrupt: Callable[[], bool] = lambda: False) -> str:
        """Do something to the machine, or go somewhere in it.

        Args:
            line: an action, see `kprobesim.course.actions`; ``answer`` and ``predict`` too.
            text: for ``program``: its assembly.
            interrupt: asked now and then during a long run; when it is true the run ends.

        Returns:
            What the console printed meanwhile.

        Raises:
            KprobesimError: it makes no sense, or cannot be done.
        """
        return self.act(parse_action(line, text), interrupt=interrupt)

    def act(self, action: Action, *, interrupt: Callable[[], bool] = lambda: False) -> str:
        """`do` with an action that was parsed already."""
        if action.verb == "answer":
            self.answer(action.words[1], action.words[0])
            return ""
        if action.verb == "predict":
            choice = action.words[1]
            self.predict(action.words[0], int(choice) if choice.isascii() and choice.isdigit() else 0)
            return ""
        try:
            return self._journal.do(action, Budget(interrupt=interrupt))
        finally:
            self._save()

    def explore(self) -> None:
        """Leave the lesson: until `come_back` nothing counts, and nothing can be spoilt."""
        if not self.exploring:
            self._return = self.lab.timeline.life(), dict(self._journal.actions)
            self.exploring = True

    def come_back(self) -> None:
        """Return from exploring: the machine is exactly where it was."""
        if self._return is not None:
            life, self._journal.actions = self._return
            self.lab.timeline.live(life)
            self._return, self.exploring = None, False

    def reset(self, *, everything: bool = False) -> None:
        """Bring the machine back to the lesson's start.

        Args:
            everything: the tasks, answers and hints too.
        """
        self._return, self.exploring = None, False
        self._journal.rewind()
        if everything:
            self.progress = Progress()
        self.progress.task_seq = self.lab.seq
        self._save()

    # Keeping

    def save(self) -> None:
        """Note where the machine stands; tasks, hints and what was done are noted by themselves.

        A failure is told by `notice`, and the lesson goes on.
        """
        self._save()

    def _save(self) -> None:
        if self._store is None or self.exploring:
            return
        self._journal.record(self.progress)
        try:
            self._store.save(self.lesson.id, self.progress)
            self.notice = ""
        except KprobesimError as error:
            self.notice = str(error)

    def _resume(self, progress: Progress) -> None:
        """Take up a progress, and bring the machine to where it stood."""
        self.progress = progress
        if not progress.moment:
            progress.task_seq = self.lab.seq
            return
        try:
            self._journal.replay(progress)
        except KprobesimError as error:
            self.notice = f"Your tasks were kept, but the machine begins at the start: {error}"
            progress.task_seq = self.lab.seq

    # Small things

    def _present(self) -> Task:
        task = self.task
        if task is None:
            raise BadInput("The lesson is over: there is no task left.")
        return task

    def _prediction(self, name: str) -> Prediction:
        if name not in self.lesson.predictions:
            raise BadInput(
                f"There is no prediction {name[:64]!r}.", hint=f"There are: {', '.join(self.lesson.predictions)}."
            )
        return self.lesson.predictions[name]

    def _fitting(self, options: tuple[Option, ...], value: str) -> int:
        for number, option in enumerate(options, 1):
            if Condition((("eq", option.value),)).holds(self.lab, value):
                return number
        return 0

    def _view(self, task: Task) -> View:
        return View(
            lab=self.lab,
            starts={"start": first_event(self.lab), "task": self.progress.task_seq},
            answer=self.progress.answers.get(task.id),
            compute=self.compute,
            read_file=partial(read_file, self.lab),
        )


def _written(value: str) -> str:
    """A number that is too large to count anything is one of bits, and lessons write these in hexadecimal."""
    return f"{int(value):#x}" if value.isdecimal() and int(value) > _MOST_COUNTED else value
