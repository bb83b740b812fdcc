"""A lesson on the lab's own thread, and what the screen shows of it.

The session and its machine belong to one thread. What a key asks for is a motion as any other; after each, `LessonDesk`
says everything there is to show, in all languages, as one record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kprobesim.course import (
    Cue,
    Lesson,
    LessonSession,
    Part,
    Reveal,
    Step,
    TaskReport,
    Trail,
    default_store,
    parse_action,
)
from kprobesim.course.actions import INPUT_VERBS
from kprobesim.course.lesson import Task
from kprobesim.course.progress import ProgressStore
from kprobesim.course.state_goals import AnswerGoal
from kprobesim.i18n import LANGUAGES, Language
from kprobesim.tui.motions import Interrupt, Motion, Outcome
from kprobesim.tui.step_list import with_short_steps
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.lab import Lab, Moment

__all__ = ["Asked", "LessonDesk", "LessonText", "LessonView", "option_keys"]

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


@dataclass(frozen=True, slots=True)
class LessonText:
    """A lesson's words in one language.

    Attributes:
        pages: what may be read by now, Markdown.
        task: what to do now, or what to say at the end.
        goals: of the last check: met, what is asked for, why not yet.
        told: the hint, praise or answer asked for last.
        asked: the question that waits, or None.
    """

    pages: tuple[str, ...]
    task: str
    goals: tuple[tuple[bool, str, str], ...]
    told: str
    asked: Asked | None


@dataclass(frozen=True, slots=True)
class LessonView:
    """Where a learner is.

    Attributes:
        texts: by language.
        done, total: tasks.
        number: of the task at hand, from 1.
        over: no task is left.
        exploring: nothing counts until the learner comes back.
        notice: what went wrong with the progress file.
        praised: the task before was done by the last motion, and what is told is why that was it.
        by_hand: the task may be done, but the machine has to run aside to find out: only the learner asks for that.
        means: actions of the screen that the task needs besides the motions.
        page: index of the page on which the text goes on behind the last task that is done.
        pages: how many there are, those not to be read yet too.
        steps: that the text lists, in order.
        listed: so many of them may be read by now.
        made: how many of them were made.
        astray: 1 where the machine is further on than the last of those and not where the next one leads, -1 where it
            is further back, otherwise 0.
        cues: panels that the text brings up, in order.
    """

    texts: dict[Language, LessonText]
    done: int
    total: int
    number: int
    over: bool
    exploring: bool
    notice: str
    praised: bool
    by_hand: bool
    means: tuple[str, ...]
    page: int
    pages: int
    steps: tuple[Step, ...]
    listed: int
    made: int
    astray: int
    cues: tuple[Cue, ...]


class LessonDesk:
    """A lesson's session and what was said last.

    Args:
        lesson: which.
        store: where progress is kept; by default where the command line keeps it.
    """

    def __init__(self, lesson: Lesson, store: ProgressStore | None = None) -> None:
        self.lesson = lesson
        self._store = store or default_store()
        self._session: LessonSession | None = None
        self._trail = Trail(())
        self._told: dict[Language, str] = {}
        self._told_at: Moment | None = None
        self._praised = False
        self._acted = False
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
            () if task is None else _means(task),
            session.next_page,
            len(session.pages("en")),
            self._trail.steps,
            len(Trail(session.visible("en")).steps),
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
        part = self._last_part("en")
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
        return session.is_met(task)

    def _is_by_hand(self) -> bool:
        session, task = self.session, self.session.task
        if task is None or session.exploring or self._held() or all(goal.what.quick for goal in task.goals):
            return False
        if task.question is not None and task.id not in session.progress.answers:
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
        self._told_at, self._praised, self._reports = session.lab.moment, True, {}

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
            self._told = {language: self._verdict(name, language) for language in LANGUAGES}
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
        self._told, self._told_at, self._praised, self._reports = {}, None, False, {}
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
        self._reports = {}
        return Outcome("was_reset")

    def do(self, line: str, text: str = "") -> Motion:
        """Carry out an action of the lesson's language, so that it is remembered.

        Args:
            line: the action.
            text: for ``program``, its assembly.
        """

        def move(lab: Lab, interrupt: Interrupt) -> Outcome:
            self.session.act(parse_action(line, text), interrupt=interrupt)
            self._acted = True
            return Outcome("did", {"line": line})

        return move

    # Words

    def _text(self, language: Language) -> LessonText:
        session = self.session
        visible = session.visible(language)
        pages = tuple(
            "\n\n".join([f"## {page.title}", *filter(None, (self._part(part, language) for part in page.parts))])
            for page in visible
        )
        task = session.task
        if task is None and pages:
            pages = (*pages[:-1], "\n\n".join([pages[-1], *self._afterwards(language)]))
        report = self._reports.get(language)
        goals: tuple[tuple[bool, str, str], ...] = ()
        if report is not None and task is not None and report.task == task.id:
            goals = tuple((goal.met, goal.text, goal.why) for goal in report.goals)
        last = self._last_part(language)
        return LessonText(
            pages, self._ending(language) if task is None else task.title(language), goals,
            self._told.get(language, ""), self._asked(last, language),
        )  # fmt: skip

    def _last_part(self, language: Language) -> Part | None:
        """What the text ends with, as far as it may be read."""
        visible = self.session.visible(language)
        return next((part for part in reversed(visible[-1].parts) if part.kind != "show"), None) if visible else None

    def _ending(self, language: Language) -> str:
        skipped = self.session.progress.skipped
        return say(language, "lesson.over_skipped" if skipped else "lesson.over", tasks=", ".join(skipped))

    def _afterwards(self, language: Language) -> list[str]:
        """What stands below the text once no task is left."""
        named = (("lesson.differs", self.lesson.differs), ("lesson.pitfall", self.lesson.pitfall))
        return [say(language, key, text=_plain(texts[language])) for key, texts in named if texts]

    def _asked(self, last: Part | None, language: Language) -> Asked | None:
        session = self.session
        if last is not None and last.kind == "predict" and last.text not in session.progress.revealed:
            prediction = self.lesson.predictions[last.text]
            options = tuple(option.text[language] for option in prediction.options)
            return Asked(prediction.id, prediction.question[language], options)
        task = session.task
        if task is None or task.question is None:
            return None
        question = task.question
        return Asked("", question.question[language], tuple(option[language] for option in question.options))

    def _part(self, part: Part, language: Language) -> str:
        if part.kind == "show":
            return ""
        if part.kind == "prose":
            return with_short_steps(part.text)
        if part.kind == "predict":
            prediction = self.lesson.predictions[part.text]
            options = [_plain(option.text[language]) for option in prediction.options]
            head = say(language, "lesson.predict", question=_plain(prediction.question[language]))
            listed = [f"> {number}. {option}" for number, option in enumerate(options, 1)]
            told = _plain(self._revealed(part.text, language))
            how = ""
            if part.text not in self.session.progress.revealed:
                how = say(language, "lesson.choose", keys=option_keys(len(options)))
            return "\n".join([f"> **{head}** {how}".rstrip(), ">", *listed, *((">", f"> {told}") if told else ())])
        task = self.lesson.task(part.text)
        mark = "✓ " if task.id in self.session.progress.done else ""
        number = self.lesson.tasks.index(task) + 1
        head = say(language, "lesson.task", number=number, total=len(self.lesson.tasks))
        lines = [f"> **{mark}{head}** {_plain(task.title(language))}"]
        shown, total = self.session.progress.hints.get(task.id, 0), len(task.hints)
        if task.question is not None:
            choices = task.question.options
            keys = option_keys(len(choices))
            how = say(language, "lesson.choose", keys=keys) if choices else say(language, "lesson.type_answer")
            lines += [">", f"> {_plain(task.question.question[language])} {'' if mark else how}".rstrip(), ">"]
            lines += [f"> {number}. {_plain(option[language])}" for number, option in enumerate(choices, 1)]
        elif self.lesson.narration == "brief" and not shown and task.id != self._solved:
            # The task stands in its own frame, and little text is to be on the screen.
            return ""
        for given, hint in enumerate(task.hints[:shown], 1):
            lines += [">", f"> {say(language, 'lesson.hint', number=given, total=total, text=_plain(hint[language]))}"]
        if task.id in self.session.progress.done and task.praise:
            lines += [">", f"> {_plain(task.praise[language])}"]
        if task.id == self._solved:
            actions = "\n".join(str(action) for action in task.solution)
            lines += [">", f"> {say(language, 'lesson.solution', lines='')}", "", "```text", actions, "```"]
        return "\n".join(lines)

    def _verdict(self, name: str, language: Language) -> str:
        """Whether a prediction was right; the text says why."""
        return self._revealed(name, language, short=True)

    def _revealed(self, name: str, language: Language, *, short: bool = False) -> str:
        """What the machine said to a prediction; empty if it was not asked in this sitting."""
        revealed = self._reveals.get((name, language))
        if revealed is None:
            return ""
        options = [option.text[language] for option in self.lesson.predictions[name].options]
        key = "lesson.right" if revealed.chosen == revealed.right else "lesson.wrong"
        told = say(language, key, option=options[revealed.right - 1], chosen=options[revealed.chosen - 1])
        if short:
            return told
        right = options[revealed.right - 1]
        new = revealed.value != right and revealed.value not in right.split()
        value = say(language, "lesson.value", value=revealed.value) if revealed.value and new else ""
        # Chinese sentences are not parted by blanks.
        return ("" if language == "zh" else " ").join(text for text in (told, value, revealed.explain) if text)


def _plain(text: str) -> str:
    """A text that Markdown shows as it is: a lesson's titles, questions and hints name pointers and patterns."""
    return _MARKDOWN.sub(r"\\\g<0>", text)


def option_keys(count: int) -> str:
    """The keys that choose one of so many options."""
    return " ".join(str(number) for number in range(1, count + 1))


def _means(task: Task) -> tuple[str, ...]:
    """Which dialogs of the screen lead to a task's solution; arrows and Space are always at hand."""
    verbs = {action.verb for action in task.solution if action.verb != "run" or action.words}
    typed, written = {"$", "type"}, {"program"}
    ways = (("type_line", typed), ("write_program", written), ("command", INPUT_VERBS - typed - written | {"run"}))
    return tuple(name for name, leads in ways if verbs & leads)
