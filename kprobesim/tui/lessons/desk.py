"""A lesson on the lab's own thread.

The session and its machine belong to one thread. What a key asks for is a motion as any other; after each, `LessonDesk`
says everything there is to show, in all languages, as one record.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from kprobesim.course import (
    Lesson,
    LessonSession,
    Reveal,
    TaskReport,
    Trail,
    default_store,
    parse_action,
)
from kprobesim.course.progress import ProgressStore
from kprobesim.course.state_goals import AnswerGoal
from kprobesim.i18n import LANGUAGES, Language
from kprobesim.tui.lessons.means import means, way
from kprobesim.tui.lessons.view import LessonText, LessonView
from kprobesim.tui.lessons.words import LessonWords, last_part
from kprobesim.tui.motions import Interrupt, Motion, Outcome
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.lab import Lab, Moment

__all__ = ["LessonDesk"]


class LessonDesk:
    """A lesson's session and what was said last.

    Args:
        lesson: which.
        store: where progress is kept; by default where the command line keeps it.

    Attributes:
        met_at: when a task was met last, on the host's clock.
    """

    def __init__(self, lesson: Lesson, store: ProgressStore | None = None) -> None:
        self.lesson = lesson
        self._store = store or default_store()
        self._session: LessonSession | None = None
        self._trail = Trail(())
        self._looks: dict[Language, tuple[str, ...]] = {}
        self._told: dict[Language, str] = {}
        self._told_at: Moment | None = None
        self._praised = False
        self.met_at = -math.inf
        self._acted = False
        self._used: list[str] = []
        self._open: tuple[str, Moment] | None = None
        self._solved = ""
        self._reports: dict[Language, TaskReport] = {}
        self._reveals: dict[tuple[str, Language], Reveal] = {}

    @property
    def session(self) -> LessonSession:
        """The session, once the lesson is open."""
        assert self._session is not None, "the lesson is open"
        return self._session

    # On the lab's thread

    def open(self) -> Lab:
        """Open the lesson where the learner left it.

        Raises:
            KprobesimError: it cannot be opened.
        """
        session = self._session = LessonSession.open(self.lesson, self._store)
        self._trail = Trail(session.pages("en"))
        self._trail.begin(session.progress.steps, session.lab.moment)
        self._looks = {
            language: tuple(part.look for page in session.pages(language) for part in page.parts if part.kind == "show")
            for language in LANGUAGES
        }
        return session.lab

    def close(self) -> None:
        """Note where the machine stands."""
        if self._session is not None:
            self._session.save()

    def view(self) -> LessonView:
        """Everything there is to show."""
        session = self.session
        tasks, task = self.lesson.tasks, session.task
        self._follow()
        self._forget()
        if self._done_by_itself():
            self._pass()
            task = session.task
            self._follow()
        self._acted = False
        if task is not None and self._reports and all(goal.what.quick for goal in task.goals):
            # Once asked for, the ticks follow the machine.
            self._reports = {language: session.report(task, language) for language in LANGUAGES}
        return LessonView(
            {language: self._text(language) for language in LANGUAGES},
            len(session.progress.done),
            len(tasks),
            tasks.index(task) + 1 if task is not None else len(tasks),
            task is None,
            session.exploring,
            session.notice,
            self._praised,
            self._is_by_hand(),
            () if task is None else means(task, self._used),
            bool(self._used),
            session.next_page,
            len(session.pages("en")),
            self._trail.steps,
            self._trail.listed(session.visible("en")),
            self._trail.made,
            self._trail.astray,
            self._trail.cues,
        )

    def _forget(self) -> None:
        """Praise, and what was said to a prediction, are told until the machine moves on."""
        if self._told_at is not None and self._told_at != self.session.lab.moment:
            self._told, self._told_at, self._praised = {}, None, False

    def _held(self) -> bool:
        """A prediction waits: no task is passed before it was settled."""
        part = last_part(self.session, "en")
        return part is not None and part.kind == "predict" and part.text not in self.session.progress.revealed

    def _done_by_itself(self) -> bool:
        """The task is met where the machine stands, as far as that can be seen without running it aside.

        What the learner did to the machine may take a while anyway, so that behind it the machine may run, too.
        """
        session, task = self.session, self.session.task
        if task is None or session.exploring or self._held():
            return False
        slow = [goal for goal in task.goals if not goal.what.quick]
        if any(isinstance(goal.what, AnswerGoal) for goal in slow) or (slow and not self._acted):
            return False
        met = session.is_met(task)
        if slow and not met:
            self._open = (task.id, session.lab.moment)
        return met

    def _is_by_hand(self) -> bool:
        """The task may be done, and only the learner can have it found out.

        It is not where nothing has happened since the task began, nor where it was just found open.
        """
        session, task = self.session, self.session.task
        if task is None or session.exploring or self._held() or all(goal.what.quick for goal in task.goals):
            return False
        if task.question is not None and task.id not in session.progress.answers:
            return False
        here = session.lab.moment
        if session.lab.seq == session.progress.task_seq or self._open == (task.id, here):
            return False
        return session.is_met(task, quick=True)

    def _pass(self) -> None:
        """The task is done: praise it, and go on to the next."""
        session, task = self.session, self.session.task
        assert task is not None
        number = self.lesson.tasks.index(task) + 1
        session.check("en")
        self._told = {
            language: say(language, "lesson.praise", number=number, text=task.praise[language])
            if task.praise
            else say(language, "lesson.done", number=number)
            for language in LANGUAGES
        }
        self._told_at, self._praised, self._reports, self._used = session.lab.moment, True, {}, []
        self.met_at = time.monotonic()

    def _follow(self) -> None:
        session = self.session
        if not session.exploring:
            over = {*session.progress.done, *session.progress.skipped}
            passed = max((n for n, task in enumerate(self.lesson.tasks, 1) if task.id in over), default=0)
            self._trail.follow(session.lab, passed)
            session.progress.steps = self._trail.made

    def check(self, lab: Lab, interrupt: Interrupt) -> Outcome:
        """Is the task done?"""
        session = self.session
        task = session.task
        if task is None:
            return Outcome("lesson_over")
        if self._praised:
            # The task was found done before it was asked for; the next one is not meant.
            return Outcome("task_met")
        reports = {language: session.report(task, language) for language in LANGUAGES}
        if not reports["en"].met:
            self._open = (task.id, session.lab.moment)
            self._told, self._told_at, self._praised, self._reports = {}, None, False, reports
            missing = {
                language: next(goal.text for goal in report.goals if not goal.met)
                for language, report in reports.items()
            }
            return Outcome("task_open", {"goal": missing})
        if session.exploring:
            return Outcome("met_exploring")
        self._pass()
        return Outcome("task_met")

    def hint(self, lab: Lab, interrupt: Interrupt) -> Outcome:
        """The next hint."""
        session = self.session
        task = session.task
        if task is None:
            return Outcome("lesson_over")
        if session.hint("en") is None:
            return Outcome("no_hint")
        shown = session.progress.hints[task.id]
        self._told_at, self._praised = None, False
        self._told = {
            language: say(
                language, "lesson.hint", number=shown, total=len(task.hints), text=task.hints[shown - 1][language]
            )
            for language in LANGUAGES
        }
        return Outcome()

    def answer(self, text: str) -> Motion:
        """Answer the task's question, and check it."""

        def move(lab: Lab, interrupt: Interrupt) -> Outcome:
            self.session.answer(text)
            self._praised = False
            return self.check(lab, interrupt)

        return move

    def predict(self, name: str, option: int) -> Motion:
        """Settle on an option of a prediction, and have the machine say which is right."""

        def move(lab: Lab, interrupt: Interrupt) -> Outcome:
            self.session.predict(name, option)
            for language in LANGUAGES:
                self._reveals[name, language] = self.session.reveal(name, language)
            right = self._reveals[name, "en"].right == option
            self._told = {
                language: LessonWords(self.session, self._reveals, self._solved, language).verdict(name)
                for language in LANGUAGES
            }
            self._told_at, self._praised = lab.moment, False
            return Outcome("predicted_right" if right else "predicted_wrong")

        return move

    def skip(self, lab: Lab, interrupt: Interrupt) -> Outcome:
        """Pass over the task."""
        if self.session.task is None:
            return Outcome("lesson_over")
        number = self.lesson.tasks.index(self.session.task) + 1
        self.session.skip()
        self._trail.begin(max(self._trail.made, self._trail.before_task(number)), lab.moment)
        self._told, self._told_at, self._praised, self._reports, self._used = {}, None, False, {}, []
        return Outcome("skipped")

    def solution(self, lab: Lab, interrupt: Interrupt) -> Outcome:
        """Show how the task can be done."""
        if self.session.task is None:
            return Outcome("lesson_over")
        actions = self.session.show_solution()
        self._solved = self.session.task.id
        lines = "; ".join(action.line for action in actions)
        self._told = {language: say(language, "lesson.solution", lines=lines) for language in LANGUAGES}
        self._told_at, self._praised = None, False
        return Outcome()

    def explore(self, lab: Lab, interrupt: Interrupt) -> Outcome:
        """Leave the lesson for a while, or return to exactly where it was left."""
        if self.session.exploring:
            self.session.come_back()
            return Outcome("came_back")
        self.session.explore()
        return Outcome("exploring")

    def reset(self, lab: Lab, interrupt: Interrupt) -> Outcome:
        """The machine as at the lesson's start; what was done stays done."""
        self.session.reset()
        self._trail.begin(0, lab.moment)
        self._reports, self._used = {}, []
        return Outcome("was_reset")

    def do(self, line: str, text: str = "") -> Motion:
        """Carry out an action of the lesson's language, so that it is remembered.

        Args:
            line: the action.
            text: for ``program``, its assembly.
        """

        def move(lab: Lab, interrupt: Interrupt) -> Outcome:
            action = parse_action(line, text)
            self.session.act(action, interrupt=interrupt)
            self._acted = True
            self._used.append(way(action))
            return Outcome("did", {"line": line})

        return move

    def _text(self, language: Language) -> LessonText:
        task, words = self.session.task, LessonWords(self.session, self._reveals, self._solved, language)
        report = self._reports.get(language)
        goals: tuple[tuple[bool, str, str], ...] = ()
        if report is not None and task is not None and report.task == task.id:
            goals = tuple((goal.met, goal.text, goal.why) for goal in report.goals)
        told = self._told.get(language, "")
        return LessonText(words.pages(), words.task(), goals, told, words.asked(), self._looks[language])
