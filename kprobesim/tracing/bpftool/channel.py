"""The file by which the guest's program ``bpftool`` asks the host.

A process writes its arguments, each with a zero behind it, and reads a line ``status length`` and then as many bytes of
standard output, and behind them those of standard error.
"""

from __future__ import annotations

from typing import Any, Final

from kprobesim.kprobes import RunningKernel
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpftool.command import run_bpftool
from kprobesim.tracing.tracefs.nodes import File

__all__ = ["BpftoolChannel"]

_KEPT: Final = 16


class BpftoolChannel:
    """The answers that have been given, each for the process that asked.

    Args:
        kernel: whose processes ask.
        programs: what is told of.

    Attributes:
        file: the file's node.
    """

    def __init__(self, kernel: RunningKernel, programs: BpfPrograms) -> None:
        self._kernel = kernel
        self._programs = programs
        self._answers: dict[int, bytes] = {}
        self.file = File(0o600, self._read, self._write)

    def _pid(self) -> int:
        return self._kernel.current(self._kernel.machine.current_cpu.number).pid

    def _write(self, data: bytes) -> None:
        words = data.decode("latin-1").split("\0")[:-1]
        answer = run_bpftool([word for word in words if word], self._programs)
        out, err = answer.out.encode("latin-1", "replace"), answer.err.encode("latin-1", "replace")
        pid = self._pid()
        self._answers.pop(pid, None)
        self._answers[pid] = f"{answer.status} {len(out)}\n".encode() + out + err
        while len(self._answers) > _KEPT:
            del self._answers[next(iter(self._answers))]

    def _read(self) -> bytes:
        return self._answers.get(self._pid(), b"")

    def save(self) -> object:
        """All state: the latest answers."""
        return dict(self._answers)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._answers = dict(state)
