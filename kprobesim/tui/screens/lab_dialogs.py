"""What the lab screen asks its user, and which motion each answer makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobesim.tui.motions import (
    Motion,
    Outcome,
    do_line,
    go_to_moment,
    go_to_place,
    in_turn,
    moment_of,
    type_line,
)
from kprobesim.tui.screens.goto import GoToScreen
from kprobesim.tui.screens.line import LineScreen
from kprobesim.tui.screens.program import Draft, ProgramScreen, draft_beside
from kprobesim.tui.screens.reply import ReplyScreen

if TYPE_CHECKING:
    from kprobesim.tui.screens.lab import LabScreen
    from kprobesim.tui.screens.what_if_form import Wish
    from kprobesim.tui.twins import Plan

__all__ = ["LabDialogs"]


class LabDialogs:
    """Opens dialogs, and remembers what was answered last.

    Args:
        lab: the screen that they stand before; its lab is open whenever one of these is called, except `show_files`.
    """

    def __init__(self, lab: LabScreen) -> None:
        self._lab = lab
        self._typed: list[str] = []
        self._done: list[str] = []
        self._wish: Wish | None = None
        self._draft = Draft("prog", "vfs_read")

    def ask_place(self) -> None:
        """Ask where to go."""

        def answered(text: str | None) -> None:
            if text:
                self._lab.move(go_to_place(text))

        self._lab.app.push_screen(GoToScreen(self._lab.language), answered)

    def ask_command(self) -> None:
        """Ask for something to do to the lab, in the words of the lessons."""

        def answered(text: str | None) -> None:
            if text:
                self._done.append(text)
                self._lab.move(self._do(text))

        self._lab.app.push_screen(LineScreen(self._lab.language, tuple(self._done), "command"), answered)

    def type_line(self) -> None:
        """Ask for a line to type at the machine's console, and show what comes."""

        def answered(text: str | None) -> None:
            if text is not None:
                self._lab.select_panel("console")
                self._typed.append(text)
                self._lab.move(self._typing(text))

        self._lab.app.push_screen(LineScreen(self._lab.language, tuple(self._typed)), answered)

    def show_files(self) -> None:
        """The machine's pseudo files, as a tree beside the console; nothing where no lab is open."""
        from kprobesim.tui.screens.files import FilesScreen

        if self._lab.snapshot is not None:
            self._lab.app.push_screen(FilesScreen(self._lab.conductor.move, self._typing))

    def write_program(self) -> None:
        """Ask for a program of several lines, load it, and attach it if a place is given."""

        def answered(draft: Draft | None) -> None:
            if draft is None:
                return
            self._draft = draft
            if draft.send:
                steps = [self._do(f"program {draft.name}", draft.text)]
                if draft.where:
                    steps.append(self._do(f"attach {draft.name} {draft.where}"))
                self._lab.move(in_turn(*steps))

        language = self._lab.language
        self._draft = draft_beside(self._draft, self._lab.reader.page_text(language))
        self._lab.app.push_screen(ProgramScreen(self._draft, language), answered)

    def ask_what_if(self) -> None:
        """Ask what should have been different, and live the life twice."""
        from kprobesim.tui.screens.what_if_form import WhatIfForm, change_of
        from kprobesim.tui.twins import plan_of

        lab = self._lab

        def answered(wish: Wish | None) -> None:
            if wish is not None:
                self._wish = wish
                lab.conductor.move(
                    plan_of(
                        lambda machine: change_of(wish, machine),
                        lambda machine: moment_of(machine, wish.at),
                        # A message as any other: it may come from the lab's thread.
                        lambda plan: lab.call_later(self._live_twice, plan),
                    )
                )

        assert lab.snapshot is not None
        lab.app.push_screen(WhatIfForm(lab.snapshot, lab.cursor, lab.language, self._wish), answered)

    def _live_twice(self, plan: Plan) -> None:
        """A life can be lived twice."""
        from kprobesim.tui.screens.what_if import WhatIfScreen

        self._lab.app.push_screen(WhatIfScreen(plan, lambda moment: self._lab.move(go_to_moment(moment))))

    def reply(self) -> None:
        """Answer the question that waits; while something is under way it may be another one by then."""
        lab = self._lab
        if lab.conductor.busy:
            return
        texts = lab.lesson.texts if lab.lesson is not None else {}
        waiting = {language: text.asked for language, text in texts.items() if text.asked is not None}
        if lab.language not in waiting:
            lab.remark(Outcome("nothing_asked"))
            return
        asked = waiting[lab.language]

        def answered(text: str | None) -> None:
            if text is not None:
                lab.answer(asked, text)

        lab.app.push_screen(ReplyScreen(waiting, lab.language), answered)

    def _do(self, line: str, program: str = "") -> Motion:
        """An action in the words of the lessons; in a lesson it is remembered."""
        return self._lab.desk.do(line, program) if self._lab.desk is not None else do_line(line, program)

    def _typing(self, text: str) -> Motion:
        """Type a line; in a lesson it is remembered."""
        # Hints and quoted sessions show the prompt, and it is copied along.
        text = text.removeprefix("$ ").removeprefix("# ")
        return self._lab.desk.do(f"$ {text}") if self._lab.desk is not None and text else type_line(text)
