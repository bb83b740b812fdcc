"""The flow of a lesson: at each moment the screen shows what to look at, and which key comes next."""

from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Input

from kprobesim.course import Lesson, ProgressStore, find_lesson, read_lesson
from kprobesim.lab import Grain
from kprobesim.tui import KprobesimApp
from kprobesim.tui.lessons.desk import LessonDesk
from kprobesim.tui.lessons.step_list import with_short_steps
from kprobesim.tui.lessons.view import LessonView
from kprobesim.tui.motions import Motion, step
from kprobesim.tui.panels.text_pane import TextPane
from kprobesim.tui.screens.start import StartScreen
from tests.tui.playing import ask, predict, write
from tests.tui.rig import LARGE, SMALL, Run, lab_screen, opened, press, screen_lines, screen_text, view, wait_until
from tests.tui.walked import walked_lesson


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    return walked_lesson(tmp_path)


async def walk(pilot: Run, *keys: str) -> None:
    """Press keys, each when what the one before started has come to its end."""
    for key in keys:
        await press(pilot, key)


async def to_the_hit(pilot: Run) -> None:
    """Up to the page's first step, with the prediction settled."""
    await walk(pilot, "right", "right", "right", "c")
    await predict(pilot, 2)
    await press(pilot, "greater_than_sign")


async def test_steps_are_counted_as_they_are_made_and_taken_back(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        seen = [view(pilot).made]
        for key in ("right", "right", "left", "right", "right"):
            await press(pilot, key)
            seen.append(view(pilot).made)
        assert seen == [0, 1, 2, 1, 2, 3]


async def test_who_goes_too_far_is_astray_until_they_are_back(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await to_the_hit(pilot)
        await press(pilot, "right")
        assert (view(pilot).made, view(pilot).astray) == (3, 1)
        await walk(pilot, "left", "space", "left")
        assert (view(pilot).made, view(pilot).astray) == (5, 0)
        await press(pilot, "right")
        assert view(pilot).made == 4


def test_where_a_command_led_on_behind_the_listed_steps_the_next_step_begins(tmp_path: Path) -> None:
    desk = LessonDesk(find_lesson("14-return-probes"), ProgressStore(tmp_path))
    lab = desk.open()

    def after(*motions: Motion) -> LessonView:
        for motion in motions:
            motion(lab, lambda: False)
            seen = desk.view()
        return seen

    listed = after(desk.predict("on-the-stack", 1), step(Grain.HIT), step(Grain.PHASE))
    assert (listed.done, listed.made, listed.astray) == (1, 2, 0)
    led_on = after(desk.predict("traps", 1), desk.do("run to arch_rethook_trampoline"))
    assert (led_on.done, led_on.made, led_on.astray) == (2, 2, 0)
    assert after(desk.answer("2"), step(Grain.PHASE)).made == 3


async def test_steps_made_are_known_again_after_leaving(lesson: Lesson) -> None:
    for made in (0, 2):
        async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
            await opened(pilot)
            assert view(pilot).made == made
            if not made:
                await walk(pilot, "right", "right")


async def test_a_page_is_walked_to_its_end_also_where_its_task_was_done_before(lesson: Lesson) -> None:
    path = lesson.folder / "lesson.toml"
    goal = 'kind = "memory"\nplace = "vfs_read"\nbytes = "cc"'
    path.write_text(path.read_text(encoding="utf-8").replace(goal, 'kind = "event"\nevent = "kprobe.prepare"'))
    async with KprobesimApp(read_lesson(lesson.folder), "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await walk(pilot, "right", "right")
        assert (view(pilot).done, now_line(pilot)) == (1, "→ (3 of 3)")
        await press(pilot, "space")
        assert view(pilot).made == 3, "who goes another way is not sent back to a task that is done"


async def test_beside_the_text_the_panel_that_a_page_names_is_brought_up(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await to_the_hit(pilot)
        assert lab_screen(pilot).selected == "code"
        await walk(pilot, "space", "left", "left")
        assert lab_screen(pilot).selected == "stack"
        assert "┏━ 4 stack" in screen_text(pilot)
        await press(pilot, "tab")
        assert lab_screen(pilot).selected == "bpf", "who looks at another panel is left there"
        await press(pilot, "greater_than_sign")
        assert lab_screen(pilot).selected == "maps", "at the top of a page it comes with the page"


async def test_on_a_small_screen_the_panel_comes_in_front_when_the_steps_are_made(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await to_the_hit(pilot)
        await walk(pilot, "space", "left")
        assert "4 stack" not in screen_text(pilot)
        await press(pilot, "left")
        assert "4 stack" in screen_text(pilot) and "Page 2" not in screen_text(pilot)
        await press(pilot, "pagedown")
        assert "Page 2" in screen_text(pilot), "the text is back, and goes on"


def now_line(pilot: Run) -> str:
    """What the frame of the task says to press."""
    lines = [line for line in screen_lines(pilot) if "│ Now: " in line]
    assert len(lines) == 1, screen_text(pilot)
    return lines[0].strip("│ ").removeprefix("Now: ").strip()


@pytest.mark.parametrize(
    ("size", "told"),
    [(SMALL, "look at regs->ip; then PgDn or F2 back to the text"), (LARGE, "look at regs->ip; then PgDn")],
)
async def test_when_the_steps_are_made_the_line_says_what_to_look_at(
    size: tuple[int, int], told: str, lesson: Lesson
) -> None:
    for path in lesson.folder.glob("*.md"):
        text = path.read_text(encoding="utf-8").replace("<!-- show stack -->", "<!-- show stack: regs->ip -->")
        path.write_text(text, encoding="utf-8")
    async with KprobesimApp(read_lesson(lesson.folder), "en").run_test(size=size) as pilot:
        await opened(pilot)
        await to_the_hit(pilot)
        await walk(pilot, "space", "left")
        assert "regs->ip;" not in now_line(pilot)
        await press(pilot, "left")
        assert now_line(pilot).startswith(told)


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_one_key_is_named_at_each_moment_and_pressing_it_leads_to_the_end(
    size: tuple[int, int], lesson: Lesson
) -> None:
    keys = {"→": "right", "←": "left", "Space": "space", "PgDn": "pagedown", "F2": "f2", "1": "2"}
    async with KprobesimApp(lesson, "en").run_test(size=size) as pilot:
        await opened(pilot)
        told: list[str] = []
        while not (told and told[-1].startswith(("q", "F10"))):
            assert len(told) < 40, told
            told.append(now_line(pilot))
            word = told[-1].partition(" ")[0]
            if told[-1].startswith("look "):
                word = "PgDn"
            if view(pilot).done == 2 and word == "1":
                await press(pilot, "1")
            else:
                await press(pilot, keys.get(word, "f1"))
        assert view(pilot).over and view(pilot).done == len(lesson.tasks)
        assert {"→ (1 of 3)", "→ (2 of 3)", "→ (3 of 3)", "Space (1 of 3)", "← (2 of 3)", "1 2 choose"} <= set(told)


async def test_of_the_dialogs_that_a_task_needs_the_one_that_comes_next_is_named(lesson: Lesson) -> None:
    path = lesson.folder / "lesson.toml"
    written = """program two\n  r0 = 2\n  exit\nend\nattach two vfs_write\n$ cat /etc/motd\n$ cat /etc/hostname"""
    goal = 'kind = "event"\nevent = "bpf.exit"\nwhere = { prog = "two" }\ncount = 2\nsince = "task"\n'
    head = path.read_text(encoding="utf-8").partition('solution = "answer which 1"')[0]
    path.write_text(f'{head}solution = """\n{written}\n"""\n[[task.goal]]\n{goal}', encoding="utf-8")
    async with KprobesimApp(read_lesson(lesson.folder), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await walk(pilot, "ctrl+n", "ctrl+n", "end", "f2", "pagedown")
        told = [now_line(pilot)]
        for line, text in (("program two", "  r0 = 2\n  exit\n"), ("attach two vfs_write", "")):
            lab_screen(pilot).study(lambda desk, line=line, text=text: desk.do(line, text))  # type: ignore[misc]
            await press(pilot)
            told.append(now_line(pilot))
        for typed in ("cat /etc/motd", "cat /etc/hostname"):
            await press(pilot, "f9")
            pilot.app.screen.query_one(Input).value = typed
            await pilot.press("enter")
            await press(pilot)
            told.append(now_line(pilot))
        assert [line.split()[0] for line in told] == ["Insert", ":", "F9", "F9", "F2"]


async def test_a_task_is_done_by_itself_and_its_page_stays(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await walk(pilot, "right", "right", "right")
        text = screen_text(pilot)
        assert view(pilot).done == 1 and "✓ Task 1: One byte." in text and "The byte is there." in text
        await press(pilot, "right")
        assert "One byte." not in screen_text(pilot), "praise is told until the next step"


async def test_no_task_is_passed_while_a_prediction_before_it_is_open(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await walk(pilot, "right", "right", "right", "pagedown", "space", "left", "left")
        assert view(pilot).done == 1 and now_line(pilot) == "1 2 choose"
        await press(pilot, "2")
        assert view(pilot).done == 2


async def test_a_verdict_does_not_repeat_a_value_that_the_right_option_names(lesson: Lesson) -> None:
    path = lesson.folder / "lesson.toml"
    machine = 'machine = { after = "step 3", read = "bytes 1 vfs_read" }'
    options = '[[prediction.option]]\ntext = "55: as it was"\nvalue = "55"\n'
    options += '[[prediction.option]]\ntext = "cc: armed"\nvalue = "cc"\n'
    text = path.read_text(encoding="utf-8").replace("right = 2\n", f"{machine}\n")
    head, _, rest = text.partition("[[prediction.option]]")
    path.write_text(f"{head}{options}\n[[task]]{rest.partition('[[task]]')[2]}", encoding="utf-8")
    async with KprobesimApp(read_lesson(lesson.folder), "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await walk(pilot, "right", "right", "right", "c")
        await predict(pilot, 2)
        text = "".join(view(pilot).texts["en"].pages)
        assert "You were right" in text and "The machine says" not in text


async def test_check_says_what_is_needed_and_where_one_is(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await walk(pilot, "right", "right", "right", "pagedown", "2", "space", "ctrl+e")
        text = screen_text(pilot)
        assert "Needed: The last event is gate. You are at kprobe_int3_handler+0x9" in text
        assert "Not yet. Needed: The last event is gate." in text


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_a_digit_answers_where_the_question_stands_and_the_text_stays_with_the_verdict(
    size: tuple[int, int], lesson: Lesson
) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=size) as pilot:
        await opened(pilot)
        await walk(pilot, "right", "right", "right", "greater_than_sign", "pagedown")
        assert "Press 1 2 to choose." in screen_text(pilot)
        await press(pilot, "3")
        assert "The question is open; choose with 1 2." in screen_text(pilot)
        await press(pilot, "1")
        await pilot.pause()
        # The text's column: what stands beside it is another matter.
        column = (line[: 39 if size == LARGE else 80] for line in screen_lines(pilot))
        flat = " ".join(" ".join(column).replace("│", " ").replace("▌", " ").split())
        assert "It is “vfs_read+0x1”, and not “vfs_read+0x0”. int3 is a trap." in flat
        assert "Page 2 of 4" in flat
        await press(pilot, "3")
        assert lab_screen(pilot).selected == "kprobe", "answered: digits are panels again"


async def test_a_page_is_not_left_by_reading_on_before_its_steps_were_made(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await walk(pilot, "right", "right", "right", "pagedown", "2", "pagedown", "pagedown")
        assert "Page 2 of 4" in screen_text(pilot)
        assert "First the steps of this page" in screen_text(pilot) and now_line(pilot) == "Space (1 of 3)"


async def test_a_text_that_comes_back_from_behind_a_panel_says_that_it_goes_on(lesson: Lesson) -> None:
    for name in ("en.md", "zh.md"):
        path = lesson.folder / name
        lines = "A line.\n\n" * 20
        begin, mark, rest = path.read_text(encoding="utf-8").partition("```events")
        path.write_text(f"{begin}{lines}{mark}{rest}", encoding="utf-8")
    async with KprobesimApp(read_lesson(lesson.folder), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await wait_until(pilot, lambda: now_line(pilot) == "PgDn reads on")
        await press(pilot, "f2")
        assert now_line(pilot) != "PgDn reads on"
        await press(pilot, "f2")
        await wait_until(pilot, lambda: now_line(pilot) == "PgDn reads on")


async def test_the_number_of_pages_is_told_from_the_beginning(lesson: Lesson) -> None:
    for language, place in (("en", "Page 1 of 4"), ("zh", "第 1 / 4 页")):
        async with KprobesimApp(lesson, language).run_test(size=SMALL) as pilot:  # type: ignore[arg-type]
            await opened(pilot)
            assert place in screen_text(pilot)


async def test_the_list_of_lessons_says_what_is_done(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en", scenarios=lambda: [lesson]).run_test(size=SMALL) as pilot:
        await opened(pilot)
        await walk(pilot, "right", "right", "right")
        await press_and_leave(pilot)
        assert "1  Walked   … begun" in screen_text(pilot)
        await pilot.press("enter")
        await opened(pilot)
        await walk(pilot, "greater_than_sign", "2", "space", "left", "left", "greater_than_sign", "1")
        assert view(pilot).over, screen_text(pilot)
        await walk(pilot, "greater_than_sign")
        await wait_until(pilot, lambda: now_line(pilot) == "F10 list of lessons")
        await press_and_leave(pilot)
        assert "1  Walked   ✓ done" in screen_text(pilot)


async def press_and_leave(pilot: Run) -> None:
    """Back to the list."""
    await pilot.press("f10")
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, StartScreen))


def test_steps_are_listed_in_columns_and_repetitions_are_counted() -> None:
    block = "\n".join(
        [
            "→  BPF  kprobe_int3_handler+0x9  IF 0  HIT_ACTIVE",
            "→  BPF  kprobe_int3_handler+0x9  IF 0  HIT_ACTIVE",
            "→  kprobe_int3_handler  kprobe_int3_handler+0x9  IF 0  HIT_SS",
            "Space  run  vfs_read+0x1  IF 1  HIT_SS",
        ]
    )
    assert with_short_steps(f"Text.\n```seen\n{block}\n```\nMore.") == (
        "Text.\n```seen\n→ x2   BPF\n→      kprobe_int3_handler+0x9  HIT_SS\nSpace  run  vfs_read+0x1  IF 1\n```\nMore."
    )


async def test_a_step_of_one_instruction_and_a_place_to_write_are_named(tmp_path: Path) -> None:
    lesson = walked_lesson(tmp_path)
    blocks = "```seen\nEnter vfs_read+0x1  run  vfs_read+0x1  IF 1  NONE\n```\n"
    blocks += "```seen\n→ instruction  run  vfs_read+0x4  IF 1  NONE\n```\n"
    for language in ("en", "zh"):
        text = lesson.folder / f"{language}.md"
        title, _, rest = text.read_text(encoding="utf-8").partition("\n")
        text.write_text(f"{title}\n\n{blocks}{rest}", encoding="utf-8")
    async with KprobesimApp(read_lesson(lesson.folder), "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        told = [now_line(pilot)]
        await ask(pilot, "enter")
        await write(pilot, "vfs_read+0x1")
        await wait_until(pilot, lambda: view(pilot).made == 1)
        for key in ("down", "down", "right"):
            told.append(now_line(pilot))
            await press(pilot, key)
        assert told == [
            "Enter then write vfs_read+0x1 (1 of 5)",
            "↓ until a step is one instruction",
            "↓ until a step is one instruction",
            "→ (2 of 5)",
        ]
        assert view(pilot).made == 2


def test_a_compiled_program_goes_by_its_own_name() -> None:
    block = "→ bpf  BPF  bpf_prog_9dff61549ec8cbf7_kib+0x15  IF 0  HIT_ACTIVE"
    assert with_short_steps(f"```seen\n{block}\n```") == "```seen\n→  kib+0x15\n```"


def test_of_a_line_to_write_nothing_but_that_line_is_listed() -> None:
    block = "Enter vfs_read  run  vfs_read+0x0  IF 1  NONE\n→ instruction  run  vfs_read+0x1  IF 1  NONE"
    assert with_short_steps(f"```seen\n{block}\n```") == "```seen\nEnter vfs_read\n→  run  vfs_read+0x1\n```"


async def test_a_step_of_another_grain_is_made_at_that_grain() -> None:
    async with KprobesimApp(find_lesson("25-jit"), "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await walk(pilot, *["right"] * 4, "greater_than_sign")
        await predict(pilot, 2)
        await walk(pilot, "greater_than_sign", "greater_than_sign", "pagedown", "space", "right")
        assert now_line(pilot) == "↓ until a step is one BPF instruction", screen_text(pilot)
        made = view(pilot).made
        await walk(pilot, "down", "down", "down", "right", "right")
        assert view(pilot).made == made + 2
        await walk(pilot, "greater_than_sign", "right", "right", "greater_than_sign", "pagedown", "right")
        assert now_line(pilot) == "↑ until a step is one instruction", screen_text(pilot)


async def test_a_task_that_only_files_tell_of_is_not_for_checking_before_anything_was_done() -> None:
    async with KprobesimApp(find_lesson("28-kprobe-events-by-hand"), "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await walk(pilot, "ctrl+n", "ctrl+n", "ctrl+n")
        assert view(pilot).number == 4 and not view(pilot).by_hand
        await ask(pilot, "f9")
        await write(pilot, "pwd")
        assert not view(pilot).by_hand, "what was typed was looked at at once"
        await press(pilot, "left")
        assert view(pilot).by_hand


@pytest.mark.parametrize("length", [70, 77])
async def test_a_block_that_came_while_the_text_was_out_of_sight_is_folded_to_the_texts_own_width(length: int) -> None:
    class Page(App[None]):
        def compose(self) -> ComposeResult:
            yield TextPane()

    line = f"first {'x' * (length - 11)} last"
    async with Page().run_test(size=SMALL) as pilot:
        pane = pilot.app.query_one(TextPane)
        pane.show("1", "## Seen")
        await pilot.pause()
        pane.display = False
        await pilot.pause()
        pane.show("1", f"## Seen\n\n```text\n{line}\n```")
        await pilot.pause()
        pane.display = True
        await pilot.pause()
        assert "last" in screen_text(pilot) and (line in screen_text(pilot)) == (length == 70)


async def test_a_brief_lesson_tells_what_and_a_key_tells_why(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await walk(pilot, "right", "right")
        assert "/ tells why" in screen_text(pilot) and "Why: " not in screen_text(pilot)
        await press(pilot, "slash")
        assert "Why: " in screen_text(pilot)
