"""What just happened, and why: two sentences for each event, made from its fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from kprobesim.error_texts import in_language
from kprobesim.i18n import Language, Texts
from kprobesim.kprobes import MODULES_VADDR, RunningKernel
from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.lab.refusals import reason_of
from kprobesim.linux_errno import Errno
from kprobesim.machine import PAGE_SIZE, Event
from kprobesim.machine.devices import SERIAL_VECTOR, TIMER_VECTOR

__all__ = ["Narration", "Narrator"]

_TEXTS = Texts("kprobesim.lab.texts")
_SYSCALLS = {
    0: "read", 1: "write", 2: "open", 3: "close", 5: "fstat", 8: "lseek", 12: "brk", 22: "pipe", 24: "sched_yield",
    32: "dup", 33: "dup2", 35: "nanosleep", 39: "getpid", 41: "socket", 44: "sendto", 45: "recvfrom", 49: "bind",
    54: "setsockopt", 56: "clone", 57: "fork", 58: "vfork", 59: "execve", 60: "exit", 61: "wait4",
    62: "kill", 74: "fsync", 79: "getcwd", 80: "chdir", 83: "mkdir", 84: "rmdir", 87: "unlink",
    102: "getuid", 110: "getppid", 157: "prctl", 162: "sync", 169: "reboot", 186: "gettid", 217: "getdents64",
    231: "exit_group", 257: "openat", 258: "mkdirat", 263: "unlinkat", 292: "dup3", 293: "pipe2", 317: "seccomp",
}  # fmt: skip
_FUNCTIONS: Final = ("handler", "func", "entry", "prev", "next", "task")
_SENTENCES: Final = ("message", "reason")
_RESULTS: Final = ("ret", "retval", "r0")
_LONGEST_TEXT: Final = 72
_MODULES_END: Final = 0xFFFF_FFFF_FF00_0000
_USER_END: Final = 1 << 47
_MAX_ERRNO: Final = 4095
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{9,16}")


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
        values = self._values(event, language)
        found: dict[str, str] = {}
        in_bpf = ["trap.pf_bpf"] if event.kind == "trap" and self._is_load_of_bpf(event) else []
        for key in in_bpf + _keys(event):
            for part in Narration._fields:
                text = _TEXTS.get(language, f"{key}.{part}", **values)
                if text is not None:
                    found.setdefault(part, text)
        return Narration(found.get("what", EVENT_KINDS[event.kind].meaning), found.get("why", ""))

    def narrate_briefly(self, event: Event, language: Language) -> str:
        """What happened, for one who sees it for the first time: where there is a shorter sentence for that, this one.

        Args:
            event: any event of this kernel.
            language: of the sentence.
        """
        values = self._values(event, language)
        for key in _keys(event):
            for part in ("brief", "what"):
                text = _TEXTS.get(language, f"{key}.{part}", **values)
                if text is not None:
                    return text
        return EVENT_KINDS[event.kind].meaning

    def _values(self, event: Event, language: Language) -> dict[str, Any]:
        """What the texts may name: the event's fields as one reads them, and a few made of them."""
        types = {field.name: field.type for field in EVENT_KINDS[event.kind].fields}
        values: dict[str, Any] = {"cpu": event.cpu, "ms": f"{event.ns / 1e6:.3f}"}
        for name, value in event.fields.items():
            if isinstance(value, bytes):
                values[name] = value.hex(" ")
                values[f"{name}_int"] = f"{int.from_bytes(value, 'little'):,}" if len(value) <= 8 else value.hex()
            elif types.get(name) == "address":
                place = self._place(value)
                values[name] = place.removesuffix("+0x0") if name in _FUNCTIONS else place
                values[f"{name}_hex"] = f"{value:#x}"
            elif isinstance(value, list):
                values[name] = ", ".join(_number(item) for item in value)
                for number, item in enumerate(value):
                    values[f"arg{number}"], values[f"arg{number}_hex"] = _number(item), f"{item:#x}"
            elif isinstance(value, int):
                values[name] = _result(value) if name in _RESULTS else _number(value)
            else:
                values[name] = _shortened(in_language(value, language) if name in _SENTENCES else value)
        values.pop("key", None)  # the name of a parameter of Texts.get; texts say {key_int}
        return values | self._extras(event)

    def _is_load_of_bpf(self, event: Event) -> bool:
        """A page fault by a program's machine code."""
        place = self._kernel.kallsyms.lookup_size_offset(event.fields["rip"])
        return event.fields["vector"] == 14 and place is not None and place[0].module == "bpf"

    def _place(self, address: int) -> str:
        """An address as symbol and offset. Slots have their page's name also at a time when there is no such page."""
        found = self._kernel.kallsyms.lookup_size_offset(address)
        if found is not None and found[0].module == "bpf":
            return self._kernel.kallsyms.symbolize(address)
        if MODULES_VADDR <= address < _MODULES_END:
            return f"{self._kernel.modules.name(address)}+{address % PAGE_SIZE:#x}"
        return self._kernel.kallsyms.symbolize(address)

    def _extras(self, event: Event) -> dict[str, str]:
        fields, kind = event.fields, event.kind
        if kind in ("syscall", "seccomp.verdict"):
            return {"syscall": _SYSCALLS.get(fields["nr"], str(fields["nr"])), "ret_hex": f"{fields.get('ret', 0):#x}"}
        if kind == "filter.load" and "code" in fields:
            return {"start": fields["code"][:9].hex(" ")}
        if kind == "filter.refuse":
            return reason_of(fields["reason"])[1]
        if kind == "bpf.exit":
            return {"r0_hex": f"{fields['r0']:#x}"}
        if kind == "kprobe.emulate":
            return {"insn": _shortened(_ADDRESS.sub(lambda found: self._place(int(found[0], 16)), fields["insn"]))}
        if kind == "gate":
            return {"vector_hex": f"{fields['vector']:#x}"}
        if kind == "trap":
            return {"before": self._place(fields["rip"] - 1)}
        if kind == "idle":
            return {"skipped_ms": f"{fields['skipped_ns'] / 1e6:,.3f}"}
        if kind == "bpf.helper":
            ret = fields["ret"]
            place = f"{ret:#x}" if ret >= _USER_END else f"{ret:,}"
            return {"high": _number(ret >> 32), "low": _number(ret & 0xFFFF_FFFF), "value": place}
        if "offset" in fields and "symbol" in fields:
            return {"place": f"{fields['symbol']}+{fields['offset']:#x}"}
        return {}


def _keys(event: Event) -> list[str]:
    """Where the event's texts are, the most particular first."""
    find = _VARIANTS.get(event.kind)
    variants = find(event.fields) if find else ()
    return [*(f"{event.kind}.{variant}" for variant in variants), event.kind, f"{event.kind}.any"]


def _trap(fields: dict[str, Any]) -> tuple[str, ...]:
    vector = fields["vector"]
    if vector == 3:
        return ("bp_user" if fields["user"] else "slot_bp" if fields["rip"] >= MODULES_VADDR else "bp",)
    if vector == 14:
        return _page_fault(fields)
    if vector == 1:
        return ("db" if fields["user"] else "db_step",)
    if vector in (TIMER_VECTOR, SERIAL_VECTOR):
        return ("timer" if vector == TIMER_VECTOR else "serial", "irq")
    return ("irq",) if vector >= 32 else (str(fields["name"]).removeprefix("#").lower(),)


def _page_fault(fields: dict[str, Any]) -> tuple[str, ...]:
    """Error code bits: 1 the page is there, 2 write, 4 user, 16 instruction fetch."""
    code = fields["error_code"]
    if not code & 4:
        if fields["rip"] >= MODULES_VADDR:
            return ("pf_slot",)
        return ("pf_kernel_user" if fields["cr2"] < _USER_END else "pf_kernel",)
    if code & 16:
        return ("pf_fetch",)
    return ("pf_read" if not code & 2 else "pf_protected" if code & 1 else "pf_write",)


def _gate(fields: dict[str, Any]) -> tuple[str, ...]:
    vector, frame = fields["vector"], fields["frame"]
    if vector == 3:
        rip, cs = (int.from_bytes(frame[at : at + 8], "little") for at in (0, 8))
        return ("bp_user" if cs & 3 else "slot_bp" if rip >= MODULES_VADDR else "bp",)
    return ("db",) if vector == 1 else ("pf",) if vector == 14 else ("irq",) if vector >= 32 else ()


def _poke(fields: dict[str, Any]) -> tuple[str, ...]:
    if "stage" in fields:
        return (f"stage{fields['stage']}",)
    return ("arm",) if fields["new"] == b"\xcc" else ("disarm",) if fields["old"] == b"\xcc" else ()


def _prepare(fields: dict[str, Any]) -> tuple[str, ...]:
    """By what stands behind the copy: an int3, the jump back of a boosted probe, or nothing."""
    behind = fields["copy"][len(fields["original"]) :]
    if fields["emulated"]:
        return ("emulated",)
    return ("copied" if behind[:1] == b"\xcc" else "boosted" if behind else "alone",)


def _helper(fields: dict[str, Any]) -> tuple[str, ...]:
    """Each helper has texts for success and, where that is worth saying, for its failure."""
    name, ret = fields["name"], fields["ret"]
    failed = ret == 0 if name == "bpf_map_lookup_elem" else ret > (1 << 64) - 1 - _MAX_ERRNO
    return (f"{name}.failed", "failed", name) if failed else (name,)


def _filter(fields: dict[str, Any]) -> tuple[str, ...]:
    """Filters of system calls and packets run elsewhere than at probes."""
    return ("filter",) if fields["prog"] in ("seccomp filter", "socket filter") else ()


# For the kinds whose events are of several sorts: which sort, the most particular first.
_VARIANTS: Final[dict[str, Callable[[dict[str, Any]], tuple[str, ...]]]] = {
    "trap": _trap,
    "gate": _gate,
    "syscall": lambda fields: (_SYSCALLS.get(fields["nr"], "other"),),
    "text.poke": _poke,
    "console": lambda fields: () if fields["text"].strip() else ("empty",),
    "kprobe.prepare": _prepare,
    "kprobe.register": lambda fields: (
        ("disarmed",) if not fields["armed"] else ("ftrace",) if fields["by"] == "ftrace" else ("armed",)
    ),
    "kprobe.hit": lambda fields: ("ftrace",) if fields["by"] == "ftrace" else (),
    "kprobe.pre_handler": lambda fields: ("changed" if fields["ret"] else "zero",),
    "kprobe.opt_pre_handler": lambda fields: ("ignored" if fields["ret"] else "zero",),
    "kprobe.singlestep": lambda fields: ("if_on" if fields["saved_if"] else "if_off",),
    "kprobe.step_tf": lambda fields: ("if_on" if fields["saved_if"] else "if_off",),
    "bpf.load": lambda fields: () if fields["processed"] else ("unverified",),
    "bpf.helper": _helper,
    "bpf.enter": _filter,
    "bpf.exit": _filter,
    "filter.refuse": lambda fields: tuple(sort for sort in [reason_of(fields["reason"])[0]] if sort),
    "filter.load": lambda fields: ("jited",) if "jited" in fields else (),
    "seccomp.verdict": lambda fields: ("strict",) if fields["mode"] == "strict" else (fields["action"],),
    "socket.verdict": lambda fields: (fields["verdict"],),
    "map.update": lambda fields: () if fields["old"] else ("new",),
}


def _number(value: int) -> str:
    return f"{value:#x}" if value > 0xFFFF_FFFF else f"{value:,}"


def _result(value: int) -> str:
    """A kernel function's answer: an error as ``-9 (EBADF)``, anything else as a number."""
    error = (1 << 64) - value
    if 0 < error <= _MAX_ERRNO:
        names = [member.name for member in Errno if member == error]
        return f"-{error}" + (f" ({names[0]})" if names else "")
    return _number(value)


def _shortened(text: str) -> str:
    """One line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
