"""A lesson on the screen: reading, doing, checking, hints, predictions, exploring; nothing is lost on leaving."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from kprobesim.course import Lesson, find_lesson
from kprobesim.i18n import Language
from kprobesim.tui import KprobesimApp
from kprobesim.tui.lesson import LessonView
from kprobesim.tui.panels.text_pane import folded
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.reply import ReplyScreen
from tests.tui.rig import (
    LARGE,
    SMALL,
    Demo,
    Run,
    front,
    lab_app,
    lab_screen,
    now,
    open_plain,
    press,
    screen_lines,
    screen_text,
    wait_until,
)

FIRST = "01-the-first-probe"


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's real progress is touched."""
    monkeypatch.setenv("KPROBESIM_DATA", str(tmp_path))


@pytest.fixture
def lesson() -> Lesson:
    return find_lesson(FIRST)


def view(pilot: Run) -> LessonView:
    lesson = lab_screen(pilot).lesson
    assert lesson is not None
    return lesson


async def opened(pilot: Run) -> None:
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
    await wait_until(pilot, lambda: lab_screen(pilot).lesson is not None)


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
        assert "“55 cc：那条指令，然后是 int3”。机器给出的是" in "".join(view(pilot).texts["zh"].pages)


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
            assert all(hint[language] in page for hint in lesson.tasks[0].hints)
            assert "```text\nstep 3\n```" in page


async def test_keys_that_a_task_needs_stand_at_the_foot() -> None:
    async with KprobesimApp(find_lesson("26-ring-buffer-and-perf-events"), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        assert "F9 console" in screen_lines(pilot)[-1]
        await press(pilot, "ctrl+n")
        foot = screen_lines(pilot)[-1]
        assert "F9 console" in foot and ": do" in foot


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
        assert (now(pilot).code.name, now(pilot).code.about) == ("vfs_read", "native_safe_halt")
        assert "cc (was 55)" in screen_text(pilot)
        assert "ret at native_safe_halt+0x2" not in now(pilot).next_text
        await press(pilot, "space")
        assert now(pilot).code.about == ""


async def test_a_place_is_somewhere_to_go_to(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "enter", *"vfs_read", "enter")
        assert now(pilot).place == "vfs_read+0x0"
        await press(pilot, "enter", *"nowhere", "enter")
        assert "The kernel has no symbol nowhere" in screen_text(pilot)


def test_long_lines_of_blocks_are_folded_and_nothing_of_them_is_lost() -> None:
    block = "→  kprobe_int3_handler  kprobe_int3_handler+0x9  IF 0  HIT_ACTIVE\n" + "中" * 40 + "\nshort"
    text = f"A line outside that is longer than thirty cells stays.\n```seen\n{block}\n```\nend"
    folds = folded(text, 30)
    inside = folds.split("```")[1].removeprefix("seen\n").splitlines()
    assert all(cell_len(line) <= 30 for line in inside)
    assert "".join("".join(inside).split()) == "".join(block.split())
    assert folds.splitlines()[0] == text.splitlines()[0]
