"""bpftool over a machine with objects, and what the real one printed."""

import functools
import re
from pathlib import Path

from kprobesim.lab import Lab
from kprobesim.tracing.bpftool import Answer, run_bpftool
from tests.bpf.object.objects import PROGRAMS

REAL = Path(__file__).resolve().parents[4] / "shared/acceptance/linux-6.1/08_bpftool.txt"


@functools.cache
def machine() -> Lab:
    """Two compiled programs on probes, and a file that was read. Tests that change it make their own."""
    return made()


def made(*names: str, jit: int = 1) -> Lab:
    lab = Lab.open()
    lab.bpf.jit.set_enabled(jit)
    for name in names or ("ok_count", "ok_rich"):
        lab.load_object(PROGRAMS / f"{name}.o")
    lab.type("cat /etc/motd")
    lab.run()
    return lab


def tool(command: str, lab: Lab | None = None) -> Answer:
    return run_bpftool(command.split(), (lab or machine()).bpf)


def out(command: str, lab: Lab | None = None) -> str:
    answer = tool(command, lab)
    assert (answer.status, answer.err) == (0, "")
    return answer.out


def real(command: str) -> str:
    """What the real bpftool printed for a line of the captured session."""
    text = REAL.read_text(encoding="utf-8")
    found = re.search(rf"^\$ {re.escape(command)}\n(.*?)^\(exit", text, re.DOTALL | re.MULTILINE)
    assert found is not None, command
    return found.group(1)


def masked(text: str) -> str:
    """Text without what differs from machine to machine: numbers, times, tags."""
    text = re.sub(r"loaded_at \S+", "loaded_at T", text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "TAG", text)
    return re.sub(r"\d+", "N", text)
