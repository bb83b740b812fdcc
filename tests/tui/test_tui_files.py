"""The tree of pseudo files: opening directories and files, and what a command changed."""

from rich.cells import cell_len
from textual.widgets import Input, Tree

from kprobesim.lab import Lab
from kprobesim.tui.screens.files import FilesScreen
from kprobesim.tui.screens.lab import LabScreen
from tests.tui.rig import (
    LARGE,
    SMALL,
    Demo,
    Run,
    front,
    lab_app,
    lab_screen,
    open_plain,
    press,
    screen_lines,
    screen_text,
    wait_until,
)


def open_rested() -> Lab:
    """A lab whose machine waits at its prompt."""
    lab = open_plain()
    lab.run()
    return lab


def files(pilot: Run) -> FilesScreen:
    screen = pilot.app.screen
    assert isinstance(screen, FilesScreen)
    return screen


async def open_files(pilot: Run) -> FilesScreen:
    await press(pilot, "ctrl+f")
    screen = files(pilot)
    await wait_until(pilot, lambda: screen.view is not None)
    return screen


async def enter(pilot: Run, path: str) -> None:
    """Put the cursor on a file or directory that is listed, and press Enter."""
    tree: Tree[str] = pilot.app.screen.query_one(Tree)
    waiting = [tree.root]
    while waiting:
        node = waiting.pop()
        if node.data == path:
            tree.move_cursor(node)
            await press(pilot, "enter")
            await pilot.pause()
            return
        waiting += node.children
    raise AssertionError(f"{path} is not listed")


async def test_directories_open_and_enter_shows_a_file() -> None:
    async with lab_app(LARGE, Demo(open_rested)) as pilot:
        screen = await open_files(pilot)
        assert "/sys/kernel/tracing" in screen_text(pilot) and "kprobe_events" in screen_text(pilot)
        await enter(pilot, "/sys/kernel/tracing/tracing_on")
        await wait_until(pilot, lambda: screen.view is not None and screen.view.text == "1\n")
        assert "/sys/kernel/tracing/tracing_on" in screen_text(pilot)
        await enter(pilot, "/sys/kernel/debug")
        await wait_until(pilot, lambda: screen.view is not None and "/sys/kernel/debug" in screen.view.listed)
        assert "kprobes" in screen_text(pilot)


async def test_a_command_typed_there_marks_the_files_that_it_changed() -> None:
    async with lab_app(LARGE, Demo(open_rested)) as pilot:
        screen = await open_files(pilot)
        assert screen.changed == frozenset()
        await press(pilot, "f9")
        pilot.app.screen.query_one(Input).value = "echo p:mine vfs_read > /sys/kernel/tracing/kprobe_events"
        await press(pilot, "enter")
        await wait_until(pilot, lambda: "/sys/kernel/tracing/kprobe_events" in screen.changed)
        assert "▸kprobe_events" in screen_text(pilot)
        assert "/sys/kernel/tracing/README" not in screen.changed
        await enter(pilot, "/sys/kernel/tracing/kprobe_events")
        await wait_until(pilot, lambda: screen.view is not None and "p:kprobes/mine vfs_read" in screen.view.text)


async def test_a_stream_is_not_emptied_by_looking() -> None:
    async with lab_app(LARGE, Demo(open_rested)) as pilot:
        screen = await open_files(pilot)
        await enter(pilot, "/sys/kernel/tracing/trace_pipe")
        await wait_until(pilot, lambda: screen.view is not None and screen.view.failed)
        assert "is a stream" in screen_text(pilot)


async def test_looking_changes_nothing_in_the_machine() -> None:
    async with lab_app(SMALL, Demo(open_rested)) as pilot:
        before = lab_screen(pilot).snapshot
        screen = await open_files(pilot)
        for path in ("/proc", "/sys/kernel/tracing/trace"):
            await enter(pilot, path)
        await wait_until(pilot, lambda: screen.view is not None and "/proc" in screen.view.listed)
        assert {cell_len(line) for line in screen_lines(pilot)} == {SMALL[0]}
        await press(pilot, "f3")
        assert "文件" in screen_text(pilot)
        await press(pilot, "escape")
        assert front(pilot) is LabScreen
        after = lab_screen(pilot).snapshot
        assert before is not None and after is not None
        assert (after.moment, after.total) == (before.moment, before.total)
