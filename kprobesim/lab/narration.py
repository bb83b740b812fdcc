"""What just happened, and why: two sentences for each event, made from its fields."""

from __future__ import annotations

from typing import Any, NamedTuple

from kprobesim.i18n import Language, Texts
from kprobesim.kprobes import MODULES_VADDR, RunningKernel
from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.machine import Event
from kprobesim.machine.devices import TIMER_VECTOR

__all__ = ["Narration", "Narrator"]

_TEXTS = Texts("kprobesim.lab.texts")
_SYSCALLS = {
    0: "read", 1: "write", 2: "open", 3: "close", 5: "fstat", 8: "lseek", 12: "brk", 22: "pipe", 24: "sched_yield",
    32: "dup", 33: "dup2", 35: "nanosleep", 39: "getpid", 56: "clone", 57: "fork", 58: "vfork", 59: "execve",
    60: "exit", 61: "wait4", 62: "kill", 74: "fsync", 79: "getcwd", 80: "chdir", 83: "mkdir", 84: "rmdir", 87: "unlink",
    102: "getuid", 110: "getppid", 162: "sync", 169: "reboot", 186: "gettid", 217: "getdents64", 231: "exit_group",
    257: "openat", 258: "mkdirat", 263: "unlinkat", 292: "dup3", 293: "pipe2",
}  # fmt: skip


class Narration(NamedTuple):
    """One sentence on what happened and one on why; ``why`` may be empty."""

    what: str
    why: str


class Narrator:
    """Makes sentences of events.

    Args:
        kernel: for the names of addresses.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel

    def narrate(self, event: Event, language: Language) -> Narration:
        """The two sentences of an event.

        Args:
            event: any event of this kernel.
            language: of the sentences.
        """
        values = self._values(event)
        for key in self._keys(event):
            what = _TEXTS.get(language, f"{key}.what", **values)
            if what is not None:
                return Narration(what, _TEXTS.get(language, f"{key}.why", **values) or "")
        return Narration(EVENT_KINDS[event.kind].meaning, "")

    def _keys(self, event: Event) -> list[str]:
        """Where the event's texts are, the most particular first."""
        fields, kind = event.fields, event.kind
        variants: list[str] = []
        if kind == "trap":
            if fields["vector"] == 3 and fields["rip"] >= MODULES_VADDR:
                variants = ["slot_bp"]
            elif fields["vector"] == TIMER_VECTOR:
                variants = ["timer"]
            elif fields["name"].startswith("IRQ"):
                variants = ["irq"]
            else:
                variants = [fields["name"].removeprefix("#").lower()]
        elif kind == "gate":
            variants = ["bp" if fields["vector"] == 3 else "other"]
        elif kind == "text.poke":
            variants = ["arm"] if fields["new"] == b"\xcc" else ["disarm"] if fields["old"] == b"\xcc" else []
        elif kind == "map.update":
            variants = ["new"] if not fields["old"] else []
        elif kind == "kprobe.register":
            variants = ["armed" if fields["armed"] else "disarmed"]
        elif kind == "kprobe.prepare":
            variants = ["emulated" if fields["emulated"] else "copied"]
        elif kind == "kprobe.pre_handler":
            variants = ["changed" if fields["ret"] else "zero"]
        elif kind == "bpf.helper":
            variants = [fields["name"]]
        return [*(f"{kind}.{variant}" for variant in variants), kind, f"{kind}.any"]

    def _values(self, event: Event) -> dict[str, Any]:
        types = {field.name: field.type for field in EVENT_KINDS[event.kind].fields}
        values: dict[str, Any] = {"cpu": event.cpu, "ms": f"{event.ns / 1e6:.3f}"}
        for name, value in event.fields.items():
            if isinstance(value, bytes):
                values[name] = value.hex(" ")
                values[f"{name}_int"] = f"{int.from_bytes(value, 'little'):,}"
            elif types.get(name) == "address":
                values[name] = self._kernel.kallsyms.symbolize(value)
                values[f"{name}_hex"] = f"{value:#x}"
            elif isinstance(value, list):
                values[name] = ", ".join(_number(item) for item in value)
            else:
                values[name] = _number(value) if isinstance(value, int) else value
        if event.kind == "syscall":
            values["syscall"] = _SYSCALLS.get(event.fields["nr"], str(event.fields["nr"]))
        if "offset" in event.fields and "symbol" in event.fields:
            values["place"] = f"{event.fields['symbol']}+{event.fields['offset']:#x}"
        if "task" in event.fields:
            values["task"] = f"{event.fields['task']:#x}"
        return values


def _number(value: int) -> str:
    return f"{value:#x}" if value > 0xFFFF_FFFF else f"{value:,}"
