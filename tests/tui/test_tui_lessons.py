"""A lesson on the screen: reading, doing, checking, hints, predictions, exploring; nothing is lost on leaving."""

import threading

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.widgets.markdown import MarkdownFence

from kprobesim.course import Lesson, find_lesson
from kprobesim.i18n import Language
from kprobesim.lab import Lab
from kprobesim.tui import KprobesimApp
from kprobesim.tui.motions import Interrupt, Outcome
from kprobesim.tui.panels.text_pane import TextPane, folded, with_refusals
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.reply import ReplyScreen
from tests.tui.rig import (
    LARGE,
    PATIENCE,
    SMALL,
    Demo,
    front,
    lab_app,
    lab_screen,
    now,
    open_plain,
    opened,
    press,
    screen_lines,
    screen_text,
    view,
    wait_until,
)

FIRST = "01-the-first-probe"


@pytest.fixture
def lesson() -> Lesson:
    return find_lesson(FIRST)


def typed(text: str) -> list[str]:
    """The keys of a text."""
    return ["space" if letter == " " else letter for letter in text]


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_a_lesson_begins_on_its_first_page_with_the_task_at_the_foot(
    size: tuple[int, int], lesson: Lesson
) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=size) as pilot:
        await opened(pilot)
        text = screen_text(pilot)
        assert f"Task 1 of {len(lesson.tasks)}" in text
        assert lesson.tasks[0].title("en") in text.replace("│", " ")
        assert "[Ctrl+E check]" in text
        if size == LARGE:
            assert "Page 1 of" in text
        await press(pilot, "f3")
        assert lesson.tasks[0].title("zh") in screen_text(pilot)


async def test_check_says_what_is_missing_then_the_deed_is_done_and_the_next_task_comes(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "ctrl+e")
        assert view(pilot).done == 0
        assert view(pilot).texts["en"].goals[0][0] is False
        assert "Not yet" in screen_text(pilot)
        await press(pilot, "right", "right", "right", "c")
        assert view(pilot).done == 1
        assert "That is it: the task is done." in screen_text(pilot)
        assert "Task 2 of" in screen_text(pilot)


async def test_hints_come_in_stages_and_the_solution_after_them(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "ctrl+t")
        assert lesson.tasks[0].hints[0]["en"][:30] in screen_text(pilot)
        assert f"Hint 1 of {len(lesson.tasks[0].hints)}" in screen_text(pilot)
        await press(pilot, "ctrl+o")
        assert "One way to do it:" in screen_text(pilot)


async def test_what_is_explored_does_not_count_and_coming_back_is_exact(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        here, known = now(pilot).moment, now(pilot).total
        await press(pilot, "ctrl+x", "right", "right", "right", "ctrl+e")
        assert view(pilot).exploring and view(pilot).done == 0
        assert "exploring: nothing counts" in screen_text(pilot)
        await press(pilot, "ctrl+x")
        assert not view(pilot).exploring
        assert (now(pilot).moment, now(pilot).total) == (here, known)


async def test_a_prediction_is_settled_in_a_dialog_before_the_machine_says(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        for _ in lesson.tasks:
            asked = view(pilot).texts["en"].asked
            if asked is not None and asked.prediction:
                break
            await press(pilot, "ctrl+n")
        assert asked is not None and asked.prediction
        await press(pilot, "ctrl+a")
        assert front(pilot) is ReplyScreen
        assert asked.options[0] in screen_text(pilot)
        await press(pilot, "2")
        assert front(pilot) is LabScreen
        assert lab_screen(pilot).selected == "code"
        after = view(pilot).texts["en"]
        assert after.asked is None or after.asked.prediction != asked.prediction
        assert "You were right" in after.told or "and not" in after.told


async def test_while_something_is_under_way_that_is_said_and_no_question_of_before_is_asked(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "zh").run_test(size=LARGE) as pilot:
        await opened(pilot)
        screen, gate = lab_screen(pilot), threading.Event()

        def wait(lab: Lab, interrupt: Interrupt) -> Outcome:
            gate.wait(PATIENCE)
            return Outcome()

        screen.move(wait)
        await wait_until(pilot, lambda: "正在处理" in screen_lines(pilot)[-1])
        screen.dialogs.reply()
        assert front(pilot) is LabScreen
        gate.set()
        await wait_until(pilot, lambda: "正在处理" not in screen_lines(pilot)[-1])


async def test_progress_is_there_again_after_leaving(lesson: Lesson) -> None:
    for done in (0, 1):
        async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
            await opened(pilot)
            assert view(pilot).done == done
            if not done:
                await press(pilot, "right", "right", "right", "ctrl+e")


async def test_a_command_of_the_lessons_can_be_given_to_any_lab() -> None:
    async with lab_app(demo=Demo(open_plain)) as pilot:
        await press(pilot, "colon", *"probe vfs_write", "enter")
        assert "Done: probe vfs_write" in screen_text(pilot)
        assert [probe.symbol for probe in now(pilot).kprobe.probes] == ["vfs_write"]
        await press(pilot, "colon", *"fly away", "enter")
        assert "That did not work" in screen_text(pilot)
        await press(pilot, "ctrl+e")
        assert "This is no lesson." in screen_text(pilot)


async def test_pages_are_turned_back_and_on(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "greater_than_sign")
        assert "Page 2 of" in screen_text(pilot)
        await press(pilot, "less_than_sign")
        assert "Page 1 of" in screen_text(pilot)


async def test_on_a_small_screen_the_text_comes_first_and_the_events_name_stands_above_what_happened(
    lesson: Lesson,
) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        assert "Page 1 of" in screen_text(pilot)
        await press(pilot, "right", "right", "right")
        text = screen_text(pilot)
        assert "What happened ─ bpf.load" in text
        assert "run  native_safe_halt+0x2" in text
        await press(pilot, "f2")
        assert "1 code" in screen_text(pilot)
        assert "Now: F2 back to the text" in screen_text(pilot)


async def test_reading_on_scrolls_to_the_pages_end_and_then_turns_it() -> None:
    async with KprobesimApp(find_lesson("34-a-seccomp-sandbox"), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        seen = [screen_text(pilot)]
        while "Page 1 of" in seen[-1]:
            await press(pilot, "pagedown")
            assert screen_text(pilot) != seen[-1], "each PgDn shows more"
            seen.append(screen_text(pilot))
        assert len(seen) > 2 and "Page 2 of" in seen[-1]
        await press(pilot, "pageup")
        assert "Page 1 of" in screen_text(pilot)


async def test_what_a_prediction_held_back_is_read_on_the_same_page(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "right", "right", "right", "ctrl+e")
        await press(pilot, "greater_than_sign", "greater_than_sign", "2")
        assert "Page 3 of" in screen_text(pilot)
        assert "You were right: “55 cc: the instruction, then int3”." in view(pilot).texts["en"].told
        assert "“55 cc：那条指令，然后是 int3”。" in "".join(view(pilot).texts["zh"].pages)


async def test_once_checked_the_goals_follow_the_machine(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        # Whoever explores passes no task, so that both ways can be seen.
        await press(pilot, "ctrl+x", "ctrl+e")
        assert [met for met, _, _ in view(pilot).texts["en"].goals] == [False]
        await press(pilot, "right", "right", "right")
        assert [met for met, _, _ in view(pilot).texts["en"].goals] == [True]
        assert "✓ The last event is bpf.load." in screen_text(pilot)
        await press(pilot, "left")
        assert [met for met, _, _ in view(pilot).texts["en"].goals] == [False]


async def test_hints_and_the_solution_can_be_read_whole_in_the_text(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "ctrl+t", "ctrl+t", "ctrl+o")
        for language in ("en", "zh"):
            page = view(pilot).texts[language].pages[-1]
            shown = page.replace("\\", "")
            assert all(hint[language] in shown for hint in lesson.tasks[0].hints)
            assert "```text\nstep 3\n```" in page


async def test_a_question_that_names_pointers_is_shown_as_it_was_written() -> None:
    async with KprobesimApp(find_lesson("29-fetch-args"), "zh").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "ctrl+n")
        text = screen_text(pilot)
        assert "struct filename *" in text
        assert "**" not in text


async def test_text_behind_a_task_comes_by_itself_on_the_page_that_was_read_as_well() -> None:
    async with KprobesimApp(find_lesson("25-jit"), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "greater_than_sign", "f2", "colon", *"run until bpf.jit", "enter")
        assert "Page 2 of" not in screen_text(pilot)
        await press(pilot, "ctrl+e")
        assert view(pilot).done == 1
        assert "Page 2 of" in screen_text(pilot)


async def test_keys_that_a_task_needs_stand_at_the_foot() -> None:
    async with KprobesimApp(find_lesson("26-ring-buffer-and-perf-events"), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        assert ": do" in screen_lines(pilot)[-1]
        await press(pilot, "ctrl+n")
        foot = screen_lines(pilot)[-1]
        assert "F9 console" in foot and ": do" in foot


async def test_where_a_program_is_to_be_written_its_key_and_the_way_back_to_the_text_stand_at_the_foot() -> None:
    async with KprobesimApp(find_lesson("24-loops-and-pruning"), "zh").run_test(size=SMALL) as pilot:
        await opened(pilot)
        foot = screen_lines(pilot)[-1]
        assert all(keys in foot for keys in ("F9 控制台", ": 操作", "Ins 写程序", "F2 课文"))


async def test_a_key_of_the_lesson_while_the_kernel_boots_is_only_too_early(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=SMALL) as pilot:
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        if lab_screen(pilot).lesson is None:
            lab_screen(pilot).action_perform("check")
            assert lab_screen(pilot).outcome.key == "starting"
        await opened(pilot)


async def test_the_machines_answer_is_not_repeated_where_it_is_the_options_own_text() -> None:
    async with KprobesimApp(find_lesson("15-optimised-probes"), "zh").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "ctrl+a")
        await press(pilot, "2")
        assert "正确的是“cc”，不是“e9”。每个 probe" in "".join(view(pilot).texts["zh"].pages)


async def test_the_code_that_is_patched_stays_in_sight_from_the_first_stage_to_the_jump() -> None:
    async with KprobesimApp(find_lesson("15-optimised-probes"), "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "colon", *typed("run until text.poke stage=1"), "enter")
        seen = [now(pilot).event]
        while (event := seen[-1]) is not None and event.kind != "kprobe.optimize":
            assert now(pilot).code.name == "vfs_read"
            await press(pilot, "right")
            seen.append(now(pilot).event)
        assert [event.kind for event in seen if event is not None].count("text.sync") == 3
        assert now(pilot).code.name == "vfs_read"


async def test_the_instruction_to_come_is_named_also_in_a_function_that_the_host_plays() -> None:
    async with KprobesimApp(find_lesson("13-reentry-and-nmissed"), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "enter", *"bpf_get_current_pid_tgid+0x1", "enter")
        assert "Next: mov %rsp,%rbp at bpf_get_current_pid_tgid+0x1." in screen_text(pilot)


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_all_registers_of_a_bpf_program_and_its_stack_are_in_sight(size: tuple[int, int]) -> None:
    async with KprobesimApp(find_lesson("20-registers-and-stack"), "en").run_test(size=size) as pilot:
        await opened(pilot)
        await press(pilot, "5", "colon", *typed("run until bpf.enter"), "enter")
        await press(pilot, "down", "down", "down", "right", "right")
        text = screen_text(pilot)
        assert all(f"R{number} " in text for number in range(11))
        assert "▸fp-8   4,096" in text


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_all_buttons_of_a_lesson_fit_a_small_screen(language: Language) -> None:
    async with KprobesimApp(find_lesson("07-life-of-a-probe"), language).run_test(size=SMALL) as pilot:
        await opened(pilot)
        frame = next(line for line in screen_lines(pilot) if "Ctrl+E" in line)
        assert all(key in frame for key in ("Ctrl+T", "Ctrl+A", "Ctrl+X", "Ctrl+N")) and "…" not in frame


async def test_what_was_just_probed_is_shown_while_the_cpu_sleeps(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "asterisk", "6", "right")
        assert (now(pilot).code.name, now(pilot).code.asleep) == ("vfs_read", True)
        assert "cc (was 55)" in screen_text(pilot)
        assert "ret at native_safe_halt+0x2" not in now(pilot).next_text
        await press(pilot, "space")
        assert not now(pilot).code.asleep


async def test_a_place_is_somewhere_to_go_to(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "enter", *"vfs_read", "enter")
        assert now(pilot).place == "vfs_read+0x0"
        await press(pilot, "enter", *"nowhere", "enter")
        assert "The kernel has no symbol nowhere" in screen_text(pilot)


def test_a_word_of_a_block_that_has_no_room_is_broken_at_a_slash_a_colon_or_an_offset() -> None:
    for word, rest in (
        ("/sys/kernel/debug/kprobes/list", "list"),
        ("hist:keys=count:vals=hitcount:sort=x", "vals=hitcount:sort=x"),
        ("bpf_prog_9dff61549ec8cbf7_kib+0x15", "+0x15"),
    ):
        assert folded(f"```\n    {word}\n```", 33).splitlines()[1:-1] == [
            f"    {word.removesuffix(rest)}", f"    {rest}",
        ]  # fmt: skip


def test_tabs_of_a_block_take_the_room_that_they_are_given() -> None:
    block = folded("```\n\tfield:u16 mode;\toffset:16;\tsize:2;\tsigned:0;\n```", 33).splitlines()[1:-1]
    assert "\t" not in "".join(block) and all(cell_len(line) <= 33 for line in block)


def test_a_long_line_of_a_block_is_broken_between_its_columns() -> None:
    block = " 8:  mov   %rsp,%rbp        # rbp is R10\nbpf_prog_9dff61549ec8cbf7_kib+0x0  0f 1f 44"
    assert folded(f"```asm\n{block}\n```", 33).splitlines()[1:-1] == [
        " 8:  mov   %rsp,%rbp", "    # rbp is R10", "bpf_prog_9dff61549ec8cbf7_kib+0x0", "    0f 1f 44",
    ]  # fmt: skip


def test_long_lines_of_blocks_are_folded_and_nothing_of_them_is_lost() -> None:
    block = "→  kprobe_int3_handler  kprobe_int3_handler+0x9  IF 0  HIT_ACTIVE\n" + "中" * 40 + "\nshort"
    kind = "bpf rejected with words that nobody sees"
    text = f"A line outside that is longer than thirty cells stays.\n```{kind}\n{block}\n```\nend"
    folds = folded(text, 30)
    inside = folds.split("```")[1].removeprefix(f"{kind}\n").splitlines()
    assert all(cell_len(line) <= 30 for line in inside)
    assert "".join("".join(inside).split()) == "".join(block.split())
    assert folds.splitlines()[0] == text.splitlines()[0]


@pytest.mark.parametrize("size", [(40, 10), (59, 24), (80, 19)])
async def test_in_a_terminal_that_is_too_small_nothing_else_is_said(size: tuple[int, int], lesson: Lesson) -> None:
    app = KprobesimApp(lesson, "en")
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen) and app.screen.lesson is not None)
        await pilot.pause()
        lines = [line.strip() for line in screen_lines(pilot) if line.strip()]
        assert lines == [
            f"This terminal is {size[0]} x {size[1]}.", "kprobesim needs at least 60 x 20.",
            "Please make the window larger,", "or press q to leave.",
        ]  # fmt: skip


async def test_a_text_that_changes_while_it_is_hidden_is_not_folded_more_narrowly() -> None:
    class OnePane(App[None]):
        def compose(self) -> ComposeResult:
            yield TextPane()

    line = "cat /sys/kernel/debug/kprobes/enabled"
    async with OnePane().run_test(size=(80, 24)) as pilot:
        pane = pilot.app.query_one(TextPane)
        pane.show("before", "# Before")
        await pilot.pause()
        pane.display = False
        await pilot.pause()
        pane.show("page", f"# Page\n\n```text\n{line}\n```")
        pane.display = True
        await pilot.pause()
        assert line in pilot.app.query_one(MarkdownFence).code


def test_a_fence_is_never_folded() -> None:
    assert (
        folded("```bpf rejected invalid mem access\n  exit\n```", 12).splitlines()[0]
        == "```bpf rejected invalid mem access"
    )


def test_the_block_of_a_refused_program_ends_in_what_the_verifier_says() -> None:
    text = "Look:\n\n```bpf rejected R0 !read_ok\n  exit\n```\n\n```bpf\n  r0 = 0\n  exit\n```"
    assert with_refusals(text) == text.replace("  exit\n```\n\n", "  exit\n✗ R0 !read_ok\n```\n\n")


async def test_where_room_is_short_what_is_met_gives_way_to_what_is_missing() -> None:
    async with KprobesimApp(find_lesson("03-a-trap"), "zh").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "ctrl+n", "ctrl+n", "ctrl+n")
        await press(pilot, "enter", *"sysvec_serial_interrupt", "enter", "ctrl+e")
        assert [met for met, _, _ in view(pilot).texts["zh"].goals] == [False, True, False]
        text = screen_text(pilot)
        assert "○ 还需要：CPU 又回到 native_safe_halt 里 hlt 的后面。你在" in text
        assert "✓ 那次中断已在你的身后。" not in text


async def test_a_symbol_on_the_stack_is_named_whole_where_there_is_room() -> None:
    async with KprobesimApp(find_lesson("03-a-trap"), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "enter", *"sysvec_serial_interrupt", "enter", "4")
        assert "regs->ip      native_safe_halt+0x2 " in screen_text(pilot)


async def test_an_address_that_the_right_option_names_in_digits_is_not_said_again() -> None:
    async with KprobesimApp(find_lesson("05-a-page-fault"), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "ctrl+a", "1")
        text = view(pilot).texts["en"]
        assert text.told == "You were right: “0x400000, the instruction itself”."
        assert "The machine says" not in "".join(text.pages)


async def test_a_line_for_the_console_may_be_copied_with_its_prompt() -> None:
    async with KprobesimApp(find_lesson("07-life-of-a-probe"), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        for line in ("$ echo one", "# echo two"):
            await press(pilot, "f9", *line, "enter")
        assert now(pilot).console.splitlines()[-4:] == ["$ echo one", "one", "$ echo two", "two"]


def test_a_path_too_long_for_a_line_goes_on_behind_a_slash() -> None:
    text = "```console\n# cat /sys/kernel/tracing/kprobe_profile\n```"
    assert folded(text, 34).splitlines()[1:-1] == ["# cat /sys/kernel/tracing/", "    kprobe_profile"]
