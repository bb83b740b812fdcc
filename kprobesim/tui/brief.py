"""An event in a few words, for lists: which place, which map, which value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobesim.tui.values import number_text

if TYPE_CHECKING:
    from kprobesim.lab import Event, Lab

__all__ = ["brief"]


def brief(lab: Lab, event: Event) -> str:
    """What an event is about, without its kind.

    Args:
        lab: for the names of addresses and tasks.
        event: any event of its stream.
    """
    fields = event.fields
    match event.kind:
        case "input" | "console" | "trace.printk":
            return str(fields["text"]).strip()
        case "trap":
            return f"{fields['name']} @ {lab.symbolize(fields['rip'])}"
        case "gate":
            # Exceptions go by their decimal numbers, interrupts by hexadecimal ones, as in Linux's irq_vectors.h.
            vector = fields["vector"]
            return f"{vector if vector < 32 else hex(vector)} → {lab.symbolize(fields['handler'])}"
        case "syscall":
            return f"{fields['nr']} @ {fields['rip']:#x}"
        case "text.poke":
            return f"{fields['symbol']} {fields['old'].hex(' ')} → {fields['new'].hex(' ')}"
        case "map.update":
            old = f"{number_text(fields['old'])} → " if fields["old"] else ""
            return f"{fields['map']}[{number_text(fields['key'])}] {old}{number_text(fields['new'])}"
        case "map.delete":
            return f"{fields['map']}[{number_text(fields['key'])}]"
        case "sched.switch" if "prev_comm" in fields:
            pair = (f"{fields[f'{which}_comm']}/{fields[f'{which}_pid']}" for which in ("prev", "next"))
            return " → ".join(pair)
        case "task.new" | "task.exec" | "task.exit" if "comm" in fields:
            return f"{fields['comm']}/{fields['pid']}"
        case "bpf.helper":
            return f"{fields['name'].removeprefix('bpf_')} = {_short(lab, fields['ret'])}"
        case "bpf.exit":
            return f"{fields['prog']} r0 = {_short(lab, fields['r0'])}"
        case "bpf.enter":
            return str(fields["prog"])
        case "bpf.fault" | "panic":
            return str(fields["message"])
        case "kprobe.singlestep" | "kprobe.boost" | "kprobe.step_tf":
            return f"ip → {lab.symbolize(fields['slot'])}"
        case "kprobe.resume" | "kprobe.emulate" | "kprobe.detour" | "kprobe.debug":
            return f"ip → {lab.symbolize(fields['ip'])}"
    return " ".join(_words(lab, fields))


def _words(lab: Lab, fields: dict[str, Any]) -> list[str]:
    if "symbol" in fields and "offset" in fields:
        return [f"{fields['symbol']}+{fields['offset']:#x}"]
    return [value if isinstance(value, str) else _short(lab, value) for value in fields.values() if value != b""][:3]


def _short(lab: Lab, value: object) -> str:
    if isinstance(value, int):
        return lab.symbolize(value) if value > 0xFFFF_FFFF else f"{value:,}"
    return number_text(value) if isinstance(value, bytes) else str(value)
