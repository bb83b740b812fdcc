"""Ctrl-C in the plain modes: it stops what runs, and at a prompt the second one leaves."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kprobesim.cli.ctrl_c import DROPPED, CtrlC
from kprobesim.cli.lab_plain import PlainLab
from kprobesim.cli.lesson_plain import PlainLesson
from kprobesim.course import LessonSession, ProgressStore, find_lesson
from kprobesim.course.free import FreeLab
from kprobesim.kprobes import Kprobe, PtRegs
from kprobesim.lab import Lab
from tests.cli.console import environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and terminals as on Unix")

FOREVER = "$ cat /etc/motd; spin 4000000000"


def press_at_the_first_read(lab: Lab) -> None:
    """Somebody presses Ctrl-C as soon as the machine calls vfs_read."""

    hits: list[Kprobe] = []

    def press(probe: Kprobe, _: PtRegs) -> int:
        if not hits:
            signal.raise_signal(signal.SIGINT)
        hits.append(probe)
        return 0

    lab.kprobe("vfs_read", pre_handler=press)


def test_in_the_lab_it_stops_the_motion_and_the_session_goes_on() -> None:
    lab = FreeLab().open()
    press_at_the_first_read(lab)
    said: list[str] = []
    PlainLab(lab, "en", said.append).run(iter([FOREVER, "look"]))
    assert [line for line in said if line.startswith("Stopped.")] == [
        "Stopped. Nothing is lost: go on from here, or back."
    ]
    assert said[-2].startswith("Time ")
    assert not lab.machine.cpus[0].halted, "the guest's own loop is still under way"


def test_in_a_lesson_it_stops_the_motion_and_the_session_goes_on(tmp_path: Path) -> None:
    session = LessonSession.open(find_lesson("1"), ProgressStore(tmp_path))
    said: list[str] = []

    def typed() -> Iterator[str]:
        press_at_the_first_read(session.lab)
        yield FOREVER
        yield "look"

    PlainLesson(session, "en", said.append).run(typed())
    assert "Stopped. Nothing is lost: go on from here, or back." in said


PROGRAM = ["program half", "r0 = 0", DROPPED, "look"]


def test_a_program_that_is_being_typed_is_dropped_and_the_next_line_is_a_command() -> None:
    lab = FreeLab().open()
    said: list[str] = []
    PlainLab(lab, "en", said.append).run(iter([*PROGRAM, DROPPED, "program whole", "r0 = 0", "exit", "end"]))
    dropped = said.index("The program is dropped: nothing was loaded.")
    assert said[dropped + 1].startswith("Time "), "this is what look says"
    assert list(lab.bpf.programs) == ["whole"]


def test_a_program_typed_in_a_lesson_is_dropped_too(tmp_path: Path) -> None:
    session = LessonSession.open(find_lesson("1"), ProgressStore(tmp_path))
    said: list[str] = []
    PlainLesson(session, "zh", said.append).run(iter(PROGRAM))
    dropped = said.index("这个程序不要了，什么都没有加载。")
    assert "cpu0" in said[dropped + 1]
    assert not session.lab.bpf.programs


def test_what_does_not_listen_is_ended_by_the_second_one() -> None:
    ctrl_c = CtrlC()
    with pytest.raises(KeyboardInterrupt), ctrl_c:
        signal.raise_signal(signal.SIGINT)
        assert ctrl_c.was_pressed()
        signal.raise_signal(signal.SIGINT)


def test_one_that_was_pressed_before_does_not_count() -> None:
    ctrl_c = CtrlC()
    with ctrl_c:
        signal.raise_signal(signal.SIGINT)
    with ctrl_c:
        assert not ctrl_c.was_pressed()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals of this kind")
def test_at_the_prompt_the_first_one_says_how_to_leave_and_the_second_leaves() -> None:
    child, terminal = on_a_terminal([sys.executable, "-m", "kprobesim", "lab", "--plain", "--kernel", "tiny"])
    read_until(terminal, b"\n> ")
    press_ctrl_c(child, terminal)
    read_until(terminal, b"Nothing runs. Ctrl-C once more, or quit, ends the session.\r\n> ")
    os.write(terminal, b"look\n")
    read_until(terminal, b"Time ")
    read_until(terminal, b"\n> ")
    press_ctrl_c(child, terminal)
    read_until(terminal, b"\r\n> ")
    press_ctrl_c(child, terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    os.close(terminal)


def on_a_terminal(command: list[str]) -> tuple[int, int]:
    """Start a program on a terminal of its own; its process, and the terminal's other end."""
    child, terminal = -1, -1
    if sys.platform != "win32":
        import pty

        child, terminal = pty.fork()
        if child == 0:
            # A shell's background jobs, this test run perhaps, ignore SIGINT and would hand that down.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execve(command[0], command, environment())
    return child, terminal


def press_ctrl_c(child: int, terminal: int) -> None:
    """Press it once the program waits: Python loses a signal between its prompt and the read (CPython, my_fgets)."""
    state = Path(f"/proc/{child}/stat")
    for _ in range(100):
        time.sleep(0.05)
        if state.exists() and state.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "S":
            break
    os.write(terminal, b"\x03")


def read_until(terminal: int, wanted: bytes) -> None:
    """Read what the terminal shows up to some text."""
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 1)
