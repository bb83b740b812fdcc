"""How often an instruction was executed, as the CPU emulator itself sees it: no part of the kprobe manager counts."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from unicorn.unicorn_const import UC_HOOK_CODE
from unicorn.unicorn_py3.unicorn import uclib

from kprobesim.machine import Machine
from kprobesim.machine.engine import Engine

__all__ = ["Executions", "executed_addresses"]

_CODE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)


class Executions:
    """Calls a function at each execution of some addresses, on whichever vCPU, until it is closed.

    Args:
        machine: whose vCPUs.
        seen: called with an address just before the instruction there runs; it must change nothing.
    """

    def __init__(self, machine: Machine, seen: Callable[[int], None]) -> None:
        self._machine = machine
        self._seen = seen
        self._callbacks = [_CODE(self._callback(cpu.engine)) for cpu in machine.cpus]
        self._hooks: dict[int, list[tuple[Engine, ctypes.c_size_t]]] = {}

    def add(self, begin: int, end: int) -> None:
        """Watch a stretch of code, ``end`` included; one that is watched already is not watched twice."""
        if begin in self._hooks:
            return
        hooks = self._hooks[begin] = []
        for cpu, callback in zip(self._machine.cpus, self._callbacks, strict=True):
            hooks.append((cpu.engine, cpu.engine._add_hook(UC_HOOK_CODE, callback, begin, end)))
        self._machine.flush_code()

    def close(self) -> None:
        """End all watches."""
        for hooks in self._hooks.values():
            for engine, hook in hooks:
                uclib.uc_hook_del(engine.handle, hook)
        self._hooks.clear()
        self._machine.flush_code()

    def _callback(self, engine: Engine) -> Callable[..., None]:
        def callback(_: Any, address: int, __: int, ___: Any) -> None:
            # The engine also announces the one instruction behind its limit, which it then does not run.
            if not engine.stopped_at and engine.counter.value <= engine._limit:
                self._seen(address)

        return callback


def executed_addresses(machine: Machine, spans: Iterable[tuple[int, int]], run: Callable[[], object]) -> Counter[int]:
    """Which addresses are executed while something runs, and how often.

    Args:
        machine: whose vCPUs.
        spans: the code that matters: first address, and the first behind it.
        run: what runs.
    """
    counts = Counter[int]()

    def seen(address: int) -> None:
        counts[address] += 1

    executions = Executions(machine, seen)
    try:
        for begin, end in spans:
            executions.add(begin, end - 1)
        run()
    finally:
        executions.close()
    return counts
