"""Only what has changed is painted; what stands on the screen is what painting all of it would give."""

from dataclasses import replace

from kprobesim.course import LessonSession, find_lesson, parse_action
from kprobesim.tui.cells import row
from kprobesim.tui.panels.kprobe import KprobePanel
from kprobesim.tui.panels.panel import View
from kprobesim.tui.snapshot import Memory, observe
from tests.tui.rig import lab_app, lab_screen, open_hit, press, screen_lines


async def test_after_steps_the_screen_is_as_if_painted_anew() -> None:
    async with lab_app() as pilot:
        for key in ("right", "right", "right", "left", "down", "right", "right", "left", "down", "left", "left"):
            await press(pilot, key)
            partly = screen_lines(pilot)
            for widget in lab_screen(pilot).walk_children():
                widget.refresh()
            await pilot.pause()
            assert screen_lines(pilot) == partly, f"after {key}"


async def test_another_theme_repaints_rows_that_have_not_changed() -> None:
    async with lab_app() as pilot:
        before = pilot.app.export_screenshot()
        await press(pilot, "f4")
        pilot.app.theme = "colour-blind-light"
        await pilot.pause()
        light = pilot.app.export_screenshot()
        for widget in lab_screen(pilot).walk_children():
            widget.refresh()
        await pilot.pause()
        assert light != before
        assert _colours(light) == _colours(pilot.app.export_screenshot())


def _colours(svg: str) -> list[str]:
    """The fills of a screenshot, in order; names of its styles carry a number of their own."""
    return [piece.split(";")[0].split('"')[0] for piece in svg.split("fill")[1:]]


def test_equal_rows_are_one_object_and_never_more_than_a_line() -> None:
    one, other = (row(12, ("a\nb\t", "bold"), " c") for _ in range(2))
    assert one is other
    assert one.plain == "a b  c      "


def test_the_byte_of_a_probe_is_the_one_in_memory_also_before_it_is_armed() -> None:
    snapshot = observe(open_hit(), Memory())
    (probe,) = snapshot.kprobe.probes
    for armed, byte, told in ((True, 0xCC, "● cc (was 55)"), (False, 0xCC, "○ cc (was 55)"), (False, 0x55, "○ 55 ")):
        probes = (replace(probe, armed=armed, byte=byte),)
        moment = replace(snapshot, kprobe=replace(snapshot.kprobe, probes=probes))
        rows = KprobePanel().draw(View(moment, None, "en"), 40).rows
        assert any(line.plain.startswith(f" text      {told}") for line in rows)


def test_while_an_event_tells_of_a_syscall_the_mark_stands_at_that_instruction() -> None:
    """rip is behind it, and the kernel is not entered: what stands at rip does not run next."""
    session = LessonSession.open(find_lesson("02-reading-the-screen"))
    lab = session.lab
    session.act(parse_action("run until syscall"))
    look = observe(lab, Memory())
    assert look.code.current == lab.registers()["rip"] - 2 and look.code.rows[0].text == "syscall"
    session.act(parse_action("step instruction"))
    assert observe(lab, Memory()).code.current == lab.registers()["rip"]
