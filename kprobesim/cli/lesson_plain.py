"""A lesson as linear text: for screen readers, for pipes, and for those who like a prompt."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator

import click

from kprobesim.cli.ctrl_c import DROPPED, CtrlC, body
from kprobesim.course import LessonSession, Part, Task, parse_action
from kprobesim.course.goals import TEXTS
from kprobesim.error_texts import in_language
from kprobesim.errors import KprobesimError
from kprobesim.i18n import Language

__all__ = ["PlainLesson"]


class PlainLesson:
    """A learner's way through a lesson, command by command.

    Args:
        session: the lesson.
        language: to speak.
        say: prints a line.
    """

    def __init__(self, session: LessonSession, language: Language, say: Callable[[str], None] = click.echo) -> None:
        self._session = session
        self._language = language
        self._say = say
        self._notice = ""
        self._printed = 0
        self._commands: dict[str, Callable[[str], None]] = {
            "check": lambda _: self._check(),
            "hint": lambda _: self._hint(),
            "solution": lambda _: self._solution(),
            "skip": lambda _: self._skip(),
            "reveal": self._reveal,
            "look": lambda _: self._look(),
            "text": lambda _: self._page(),
            "explore": lambda _: self._explore(),
            "return": lambda _: self._return(),
            "reset": self._reset,
            "help": lambda _: self._say(self._text("help").strip()),
        }

    def run(self, lines: Iterator[str]) -> bool:
        """Take commands until they end, or one says ``quit``; whether every task was met.

        Args:
            lines: what the learner types.
        """
        lesson = self._session.lesson
        self._say(f"# {lesson.title(self._language)}")
        self._say(self._text("about", summary=lesson.summary(self._language), minutes=lesson.minutes))
        self._say(self._text("keys"))
        self._tell_notice()
        if self._session.progress.done or self._session.progress.skipped:
            self._page()
            self._printed = sum(len(page.parts) for page in self._session.visible(self._language))
        else:
            self._onward()
        for line in lines:
            if line.strip() in ("quit", "exit"):
                break
            try:
                self._take(line.strip(), lines)
            except KprobesimError as error:
                self._say(in_language(error, self._language))
            self._tell_notice()
        self._session.save()
        self._tell_notice()
        if not self._session.is_done and not self._session.notice:
            self._say(self._text("bye", id=lesson.id))
        return self._session.is_done

    def _take(self, line: str, lines: Iterator[str]) -> None:
        word, _, rest = line.partition(" ")
        if not line or line.startswith(("#", DROPPED)):
            return
        if word in self._commands:
            self._commands[word](rest.strip())
            return
        text = body(lines, self._say, self._language) if word == "program" else ""
        if text is None:
            return
        session = self._session
        before = session.lab.seq
        ctrl_c = CtrlC()
        with ctrl_c:
            printed = session.act(parse_action(line, text), interrupt=ctrl_c.was_pressed)
        if printed:
            self._say(printed.rstrip("\n"))
        if ctrl_c.was_pressed():
            self._say(self._text("stopped"))
        if word == "answer":
            self._check()
        elif word != "predict":
            self._what_happened(before)

    def _what_happened(self, before: int) -> None:
        """Where the machine is now, and what its last event means, if it went somewhere."""
        lab = self._session.lab
        event = lab.last_event
        if event is not None and lab.seq != before:
            told = lab.narrate(event, self._language)
            self._say((" " if self._language == "en" else "").join(told).strip())
        self._look()

    def _look(self) -> None:
        lab = self._session.lab
        registers = lab.registers()
        place = "user" if registers["cs"] & 3 else lab.symbolize(registers["rip"])
        time = f"{lab.ns / 1e6:.3f}"
        self._say(self._text("where", time=time, cpu=lab.cpu, place=place, phase=lab.phase_name))

    def _check(self) -> None:
        session = self._session
        report = session.check(self._language)
        for goal in report.goals:
            self._say(f"  [{self._text('met' if goal.met else 'not_yet')}] {goal.text} {goal.why}".rstrip())
        if report.met:
            self._say(self._text("done") + (f" {report.praise}" if report.praise else ""))
            if not session.exploring:
                self._next()

    def _skip(self) -> None:
        self._session.skip()
        self._say(self._text("skipped"))
        self._next()

    def _next(self) -> None:
        """After a task: the text goes on, and at the end of the lesson there is more to say."""
        self._onward()
        session, language = self._session, self._language
        if session.task is not None:
            return
        skipped = session.progress.skipped
        self._say(self._text("over_skipped", tasks=", ".join(skipped)) if skipped else self._text("over"))
        for key, texts in (("differs", session.lesson.differs), ("pitfall", session.lesson.pitfall)):
            if texts:
                self._say(self._text(key, text=texts[language]))

    def _hint(self) -> None:
        hint = self._session.hint(self._language)
        self._say(self._text("hint", hint=hint) if hint else self._text("no_hint"))

    def _solution(self) -> None:
        self._say(self._text("solution"))
        for action in self._session.show_solution():
            self._say(textwrap.indent(str(action), "  "))

    def _reveal(self, name: str) -> None:
        session, language = self._session, self._language
        revealed = session.reveal(name, language)
        options = [option.text[language] for option in session.lesson.predictions[name].options]
        right = options[revealed.right - 1]
        if revealed.chosen == 0:
            self._say(self._text("revealed", option=right))
        elif revealed.chosen == revealed.right:
            self._say(self._text("right", option=right))
        else:
            self._say(self._text("wrong", option=right, chosen=options[revealed.chosen - 1]))
        if revealed.value:
            self._say(self._text("value", value=revealed.value))
        self._say(revealed.explain)
        self._onward()

    def _explore(self) -> None:
        self._session.explore()
        self._say(self._text("exploring"))

    def _return(self) -> None:
        self._session.come_back()
        self._say(self._text("returned"))
        self._look()

    def _reset(self, rest: str) -> None:
        self._session.reset(everything=rest == "all")
        self._say(self._text("reset"))
        if rest == "all":
            self._printed = 0
        self._page()

    def _page(self) -> None:
        """The page that the learner is at, once more."""
        page = self._session.visible(self._language)[-1]
        self._say("")
        self._say(f"## {page.title}")
        for part in page.parts:
            self._part(part)

    def _onward(self) -> None:
        """Print what has become visible since this was last done."""
        position = 0
        for number, page in enumerate(self._session.visible(self._language)):
            fresh = page.parts[max(0, self._printed - position) :]
            if fresh and position >= self._printed and number:
                self._say("")
                self._say(f"## {page.title}")
            for part in fresh:
                self._part(part)
            position += len(page.parts)
        self._printed = max(self._printed, position)

    def _part(self, part: Part) -> None:
        if part.kind == "show":
            # There are no panels here.
            return
        self._say("")
        if part.kind == "prose":
            self._say(part.text)
        elif part.kind == "task":
            self._task(self._session.lesson.task(part.text))
        else:
            self._prediction(part.text)

    def _task(self, task: Task) -> None:
        tasks = self._session.lesson.tasks
        number = tasks.index(task) + 1
        self._say(self._text("task", number=number, all=len(tasks), title=task.title(self._language)))
        if (question := task.question) is not None:
            self._say(self._text("question", question=question.question[self._language]))
            for choice, option in enumerate(question.options, 1):
                self._say(f"  {choice}. {option[self._language]}")
            self._say(self._text("how_to_answer", id=task.id))

    def _prediction(self, name: str) -> None:
        prediction = self._session.lesson.predictions[name]
        self._say(self._text("predict", question=prediction.question[self._language]))
        for number, option in enumerate(prediction.options, 1):
            self._say(f"  {number}. {option.text[self._language]}")
        self._say(self._text("how_to_predict", id=name))

    def _tell_notice(self) -> None:
        if self._session.notice and self._session.notice != self._notice:
            self._say(in_language(self._session.notice, self._language))
        self._notice = self._session.notice

    def _text(self, key: str, **values: object) -> str:
        return TEXTS.get(self._language, f"plain.{key}", **values) or key
