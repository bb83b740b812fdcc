"""From a key to the last byte on the terminal while stepping, and from the start to the first frame.

The app runs in a pseudo-terminal of its own as on a real one. A step is over when nothing has come for a while; the
time of the last byte counts. ``--columns`` and ``--rows`` give another size, ``--steps`` how many keys at each grain.
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
from typing import Final

from common import report

_QUIET: Final = 0.25
_PATIENCE: Final = 30.0
_KEYS: Final = {"forwards": b"\x1b[C", "backwards": b"\x1b[D", "finer": b"\x1b[B", "hit": b" "}
_APP: Final = """
from kprobesim.course import find_demo
from kprobesim.tui import run_app
run_app(find_demo("first-probe"), "en")
"""


class Terminal:
    """The app in a pseudo-terminal."""

    def __init__(self, columns: int, rows: int) -> None:
        self.began = time.perf_counter()
        self.process, self._end = pty.fork()
        if self.process == 0:
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execv(sys.executable, [sys.executable, "-c", _APP])
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = b""

    def press(self, key: bytes) -> None:
        """Send a key."""
        os.write(self._end, key)

    def last_byte(self, began: float) -> float:
        """Seconds from ``began`` to the last byte before a quiet while; 0 if none came."""
        last, end = 0.0, began + _PATIENCE
        while time.perf_counter() < end:
            ready, _, _ = select.select([self._end], [], [], _QUIET)
            if not ready:
                return last
            try:
                data = os.read(self._end, 1 << 16)
            except OSError:
                return last
            self.seen += data
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
        """Processor time of the app so far, which a busy computer does not stretch; 0 where nobody tells."""
        try:
            ticks = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")

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


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--rows", type=int, default=36)
    parser.add_argument("--steps", type=int, default=20)
    asked = parser.parse_args()
    terminal = Terminal(asked.columns, asked.rows)
    first = terminal.until(b"booting")
    told = {"first_frame_s": round(first, 2), "lab_open_s": round(terminal.until(b"Next: "), 2)}
    terminal.last_byte(time.perf_counter())
    results: dict[str, dict[str, float]] = {}
    terminal.press(_KEYS["hit"])
    terminal.last_byte(time.perf_counter())
    for grain in ("phase", "line", "instruction"):
        for way in ("forwards", "backwards"):
            times, before = [], terminal.cpu_seconds()
            for _ in range(asked.steps):
                began = time.perf_counter()
                terminal.press(_KEYS[way])
                took = terminal.last_byte(began)
                if took:
                    times.append(took)
            spent = (terminal.cpu_seconds() - before) / asked.steps
            results[f"{grain}_{way}"] = {**figures(times), "cpu_ms_a_step": round(spent * 1e3, 1)}
        terminal.press(_KEYS["finer"])
        terminal.last_byte(time.perf_counter())
    terminal.close()
    report("tui", {**told, "size": f"{asked.columns}x{asked.rows}", **results})


if __name__ == "__main__":
    main()
