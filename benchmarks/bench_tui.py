"""The app on a terminal: its first frame, its steps in a long session, its memory after an hour of playing.

The app runs in a pseudo-terminal of its own as on a real one. A step is over when nothing has come for a while; the
time of the last byte counts. Beside wall times stand processor times, which a busy computer stretches less, and the
time of a fixed loop to hold them against.

``--quick`` measures a shorter session with fewer steps. ``--hour`` says how many steps an hour of playing has.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import statistics
import struct
import sys
import termios
import time
from pathlib import Path
from typing import Any, Final

from common import report

_QUIET: Final = 0.25
_PATIENCE: Final = 60.0
_KEYS: Final = {"forwards": b"\x1b[C", "backwards": b"\x1b[D", "finer": b"\x1b[B"}
_GRAINS: Final = ("phase", "line", "instruction")
_SESSION: Final = Path(__file__).parent / "tui_session.py"
_DEMO: Final = """
from kprobesim.course import find_demo
from kprobesim.tui import run_app
run_app(find_demo("first-probe"), "en")
"""
_SWEEP: Final = 200
"""Steps in one direction while playing: there and back, as an hour of steps is longer than a lesson's life."""
_BURST: Final = 20
_LOOP: Final = 5_000_000
_MIB: Final = 1 << 20


class Terminal:
    """The app in a pseudo-terminal.

    Args:
        arguments: of the Python that runs it.
        columns, rows: size.
    """

    def __init__(self, arguments: list[str], columns: int, rows: int) -> None:
        self.began = time.perf_counter()
        self.process, self._end = pty.fork()
        if self.process == 0:
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execv(sys.executable, [sys.executable, *arguments])
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = b""

    def press(self, key: bytes) -> None:
        """Send a key."""
        os.write(self._end, key)

    def last_byte(self, began: float, quiet: float = _QUIET) -> float:
        """Seconds from ``began`` to the last byte before a quiet while; 0 if none came."""
        last, end = 0.0, began + _PATIENCE
        while time.perf_counter() < end:
            ready, _, _ = select.select([self._end], [], [], quiet)
            if not ready:
                return last
            try:
                self.seen = os.read(self._end, 1 << 16)
            except OSError:
                return last
            last = time.perf_counter() - began
        return last

    def until(self, text: bytes) -> float:
        """Seconds from the start until a text is on its way."""
        while text not in self.seen:
            if time.perf_counter() > self.began + _PATIENCE:
                raise TimeoutError(f"{text!r} never came")
            ready, _, _ = select.select([self._end], [], [], 0.5)
            if ready:
                self.seen += os.read(self._end, 1 << 16)
        return time.perf_counter() - self.began

    def cpu_seconds(self) -> float:
        """Processor time of the app so far; 0 where nobody tells."""
        try:
            ticks = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Memory that the app has in RAM; 0 where nobody tells."""
        try:
            pages = Path(f"/proc/{self.process}/statm").read_text(encoding="ascii").split()[1]
        except OSError:
            return 0.0
        return round(int(pages) * os.sysconf("SC_PAGE_SIZE") / _MIB, 1)

    def close(self) -> None:
        """Leave the app."""
        self.press(b"\x11")
        self.last_byte(time.perf_counter())
        os.close(self._end)
        os.waitpid(self.process, 0)


def figures(times: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    ordered = sorted(times)
    at95 = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    return {"median_ms": round(statistics.median(ordered) * 1e3, 1), "p95_ms": round(at95 * 1e3, 1)}


def step(terminal: Terminal, way: str, steps: int) -> dict[str, float]:
    """Steps one by one, each after the one before has been drawn."""
    times, before = [], terminal.cpu_seconds()
    for _ in range(steps):
        began = time.perf_counter()
        terminal.press(_KEYS[way])
        if took := terminal.last_byte(began):
            times.append(took)
    spent = (terminal.cpu_seconds() - before) / steps
    return {**figures(times), "cpu_ms_a_step": round(spent * 1e3, 1)}


def play(terminal: Terminal, steps: int) -> dict[str, Any]:
    """An hour's steps as fast as they go, there and back, and the memory at each quarter."""
    resident = [terminal.resident_mib()]
    done = 0
    for quarter in range(1, 5):
        while done < steps * quarter // 4:
            way = "forwards" if done // _SWEEP % 2 == 0 else "backwards"
            terminal.press(_KEYS[way] * _BURST)
            terminal.last_byte(time.perf_counter(), 0.1)
            done += _BURST
        resident.append(terminal.resident_mib())
    return {"steps": done, "resident_mib": resident}


def fixed_loop() -> float:
    """Processor milliseconds of a loop that is always the same."""
    began, number = time.process_time(), 0
    for value in range(_LOOP):
        number += value
    return round((time.process_time() - began) * 1e3, 1)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--rows", type=int, default=36)
    parser.add_argument("--steps", type=int, default=40, help="of each kind")
    parser.add_argument("--instructions", type=int, default=100_000_000, help="that the session has behind it")
    parser.add_argument("--hour", type=int, default=7_200, help="steps that an hour of playing has: two a second")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        asked.steps, asked.instructions, asked.hour = 10, 4_000_000, 400
    size = asked.columns, asked.rows
    told: dict[str, Any] = {"size": f"{size[0]}x{size[1]}", "fixed_loop_ms": fixed_loop()}
    demo = Terminal(["-c", _DEMO], *size)
    told["first_frame_s"] = round(demo.until(b"booting"), 2)
    told["first_frame_cpu_s"] = round(demo.cpu_seconds(), 2)
    told["lab_open_s"] = round(demo.until(b"Next: "), 2)
    demo.last_byte(time.perf_counter())
    demo.close()
    session = Terminal([str(_SESSION), str(asked.instructions)], *size)
    session.until(b"Why")
    session.last_byte(time.perf_counter())
    told["session_instructions"] = asked.instructions
    for grain in _GRAINS:
        for way in ("forwards", "backwards"):
            told[f"{grain}_{way}"] = step(session, way, asked.steps)
        session.press(_KEYS["finer"])
        session.last_byte(time.perf_counter())
    session.press(b"\x1b[A" * len(_GRAINS))
    session.last_byte(time.perf_counter())
    told["playing"] = play(session, asked.hour)
    session.close()
    report("tui", told)


if __name__ == "__main__":
    main()
