"""The first frame waits neither for the machine nor for screens that come later: what is loaded by then, what not."""

import subprocess
import sys
import threading

import pytest

from kprobesim.lab import Lab
from kprobesim.tui import KprobesimApp
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.wording import say
from tests.cli.console import environment
from tests.tui.rig import Demo, lab_screen, open_plain, screen_text, wait_until

LATER = (
    "unicorn", "capstone", "elftools", "kprobesim.image", "kprobesim.bpf", "kprobesim.machine.machine",
    "kprobesim.kprobes.core", "kprobesim.tracing.front", "kprobesim.lab.lab", "kprobesim.lab.recording",
    "kprobesim.lab.whatif", "kprobesim.classroom", "kprobesim.serve", "kprobesim.tui.twins",
    "kprobesim.tui.screens.what_if", "kprobesim.tui.screens.what_if_form", "kprobesim.tui.screens.files",
)  # fmt: skip
"""The machine and all that looks into it, and the screens that are opened by a key."""

COMMANDS = """
import importlib, sys
for name in ("demo", "lab", "lesson", "replay", "share", "screen"):
    importlib.import_module(f"kprobesim.cli.{name}")
print(*sys.modules)
"""

LIST = """
import asyncio, sys
from textual.widgets import OptionList
from kprobesim.course import list_demos, list_lessons
from kprobesim.tui import KprobesimApp

async def look():
    app = KprobesimApp(None, "en", scenarios=lambda: [*list_lessons(), *list_demos()])
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        assert app.screen.query_one(OptionList).option_count > 10
        print(*sys.modules)

asyncio.run(look())
"""

DEMO = """
import asyncio, sys, threading
from kprobesim.course import find_demo
from kprobesim.tui import KprobesimApp
from kprobesim.tui.worker import end_workers

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "kprobesim.machine.machine" and not reached.is_set():
            print(*sys.modules)
            drawn.append(app.screen.query_one("#code").size.width)
            threads.append(threading.current_thread())
            reached.set()

async def look():
    async with app.run_test(size=(120, 36)):
        await asyncio.to_thread(reached.wait)

drawn, threads, reached = [], [], threading.Event()
app = KprobesimApp(find_demo("first-probe"), "en")
sys.meta_path.insert(0, Watch())
asyncio.run(look())
end_workers()
assert drawn[0] > 20, "there is a frame by then"
assert threads[0] is not threading.main_thread(), "the screen can be used meanwhile"
"""


@pytest.mark.parametrize("script", [COMMANDS, LIST, DEMO], ids=["commands", "the list", "a demo"])
def test_the_machine_is_loaded_behind_the_first_frame(script: str) -> None:
    done = python(script)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "kprobesim.course.lesson" in loaded
    assert sorted(loaded & set(LATER)) == []


LEFT = """
import asyncio
from kprobesim.course import find_demo
from kprobesim.tui import KprobesimApp
from kprobesim.tui.worker import Worker, end_workers

async def leave():
    app = KprobesimApp(find_demo("first-probe"), "en")
    async with app.run_test(size=(120, 36)) as pilot:
        while not app.screen.query("#code"):
            await pilot.pause()

asyncio.run(leave())
end_workers()
"""


def test_a_program_that_is_left_while_its_lab_opens_ends_well() -> None:
    done = python(LEFT)
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_key_that_needs_the_lab_says_that_the_kernel_still_boots() -> None:
    booted = threading.Event()

    def boot() -> Lab:
        booted.wait()
        return open_plain()

    app = KprobesimApp(Demo(boot), "en")
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen))
        screen = lab_screen(pilot)
        try:
            for key, name in (
                ("p", "play"),
                ("space", "next_hit"),
                ("x", "count"),
                ("enter", "go_to"),
                ("f12", "what_if"),
            ):
                await pilot.press(key)
                told = " ".join(screen_text(pilot).split())
                assert say("en", f"action.{name}.title") + "” needs the kernel, which is still booting" in told
                assert app.screen is screen
            assert not screen.lecture.playing
            await pilot.press("f3")
            assert say("zh", "action.what_if.title") + "”要等它启动完" in screen_text(pilot)
            await pilot.press("3")
            assert screen.selected == "kprobe", "what needs no lab works"
        finally:
            booted.set()
        await wait_until(pilot, lambda: screen.snapshot is not None)
        assert not screen.conductor.busy, "nothing of it was only put off"


def python(script: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=100, check=False)
