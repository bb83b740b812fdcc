"""Writing a BPF program on the screen: loaded and attached, or refused and shown where."""

from dataclasses import replace

from rich.cells import cell_len
from textual.widgets import Input, TextArea

from kprobesim.tui.motions import do_line
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.program import Draft, ProgramScreen, draft_beside
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

UNCHECKED = """\
.type kprobe
.license GPL
.map seen hash key=4 value=8 max_entries=4
  *(u32 *)(r10 -4) = 0
  r1 = map seen
  r2 = r10
  r2 += -4
  call map_lookup_elem
  r0 = *(u64 *)(r0 +0)
  exit
"""


async def write(pilot: Run, text: str = "", name: str = "", where: str | None = None) -> None:
    """Write a program, and send it."""
    await press(pilot, "insert")
    assert front(pilot) is ProgramScreen
    screen = pilot.app.screen
    if text:
        screen.query_one(TextArea).text = text
    if name:
        screen.query_one("#name", Input).value = name
    if where is not None:
        screen.query_one("#where", Input).value = where
    await press(pilot, "ctrl+s")
    assert front(pilot) is LabScreen


async def test_a_program_of_several_lines_is_loaded_and_attached() -> None:
    async with lab_app(LARGE, Demo(open_plain)) as pilot:
        await write(pilot, name="mine")
        assert lab_screen(pilot).failure is None
        text = screen_text(pilot)
        assert "mine" in text and "call get_current_pid_tgid" in text
        (probe,) = now(pilot).kprobe.probes
        assert probe.armed


async def test_a_program_can_be_loaded_without_a_place() -> None:
    async with lab_app(LARGE, Demo(open_plain)) as pilot:
        await write(pilot, name="mine", where="")
        program = now(pilot).program
        assert program is not None and program.name == "mine"
        assert now(pilot).kprobe.probes == ()


async def test_a_program_loaded_after_another_one_ran_is_the_one_that_is_shown() -> None:
    async with lab_app(LARGE) as pilot:
        lab_screen(pilot).move(do_line("run"))
        await press(pilot)
        program = now(pilot).program
        assert program is not None and program.name == "by_pid"
        lab_screen(pilot).move(do_line("program later", "  r0 = 7\n  exit\n"))
        await press(pilot, "8")
        program, walk = now(pilot).program, now(pilot).walk
        assert program is not None and walk is not None and program.name == walk.name == "later"


async def test_a_refused_program_is_shown_in_the_verifier_panel_with_the_reason_at_its_instruction() -> None:
    async with lab_app(LARGE, Demo(open_plain)) as pilot:
        await write(pilot, UNCHECKED, "hasty")
        assert lab_screen(pilot).selected == "verifier"
        assert lab_screen(pilot).failure is not None and "That did not work" in screen_text(pilot)
        await press(pilot, "f5")
        lines = screen_lines(pilot)
        text = "\n".join(lines)
        assert "8 verifier ─ refused ─ processed" in text
        assert "map_value_or_null" in text
        refused = next(number for number, line in enumerate(lines) if "✗" in line and "*(u64 *)(r0 +0)" in line)
        assert "R0 invalid mem access 'map_value_or_null'" in lines[refused + 1]
        assert "line 9:" in lines[refused + 2] and "^^^^^" in lines[refused + 3]
        assert {cell_len(line) for line in lines} == {LARGE[0]}
        await press(pilot, "f3")
        assert "被拒绝" in screen_text(pilot)


async def test_the_refusal_is_gone_with_the_next_step_and_the_text_stays_for_the_next_try() -> None:
    async with lab_app(SMALL, Demo(open_plain)) as pilot:
        await write(pilot, UNCHECKED, "hasty")
        await wait_until(pilot, lambda: (now(pilot).walk or None) is not None)
        await press(pilot, "insert")
        assert pilot.app.screen.query_one(TextArea).text == UNCHECKED
        fixed = UNCHECKED.replace("  r0 = *(u64", "  if r0 == 0 goto +1\n  r0 = *(u64").replace(
            "  exit", "  r0 = 0\n  exit"
        )
        pilot.app.screen.query_one(TextArea).text = fixed
        await press(pilot, "ctrl+s")
        assert lab_screen(pilot).failure is None
        walk = now(pilot).walk
        assert walk is not None and not walk.refused


async def test_esc_puts_the_draft_aside_and_nothing_is_loaded() -> None:
    async with lab_app(LARGE, Demo(open_plain)) as pilot:
        await press(pilot, "insert")
        pilot.app.screen.query_one(TextArea).text = "exit\n"
        await press(pilot, "escape")
        assert front(pilot) is LabScreen
        assert now(pilot).program is None
        await press(pilot, "insert")
        assert pilot.app.screen.query_one(TextArea).text == "exit\n"


async def test_text_that_is_no_program_is_a_sentence() -> None:
    async with lab_app(LARGE, Demo(open_plain)) as pilot:
        await write(pilot, "  r0 = soon\n  exit\n")
        assert lab_screen(pilot).failure is not None
        assert "That did not work" in screen_text(pilot)
        assert now(pilot).program is None


def test_the_editor_begins_with_the_program_of_the_page_and_keeps_what_somebody_is_at_work_on() -> None:
    long, other = ("".join(f"  r{n} = {number}\n" for n in range(4)) + "  exit\n" for number in (1, 2))
    page = f"```bpf\n{other}```\n\n```bpf rejected R0 !read_ok\n{long}```\n\n```bpf\n  exit\n```\n"
    draft = draft_beside(Draft("prog", "vfs_read"), page)
    assert (draft.name, draft.where, draft.text) == ("prog", "vfs_read", long)
    mine = replace(draft, text="  r0 = 7\n  exit\n")
    assert draft_beside(mine, page) == draft_beside(mine, f"```bpf\n{other}```") == mine
    sent = replace(mine, send=True)
    assert draft_beside(sent, page) == sent
    assert draft_beside(sent, f"```bpf\n{other}```").text == other
    assert draft_beside(sent, "no program here") == sent
