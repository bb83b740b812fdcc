"""All event kinds there are, from every room, by name."""

from dataclasses import replace
from typing import Final

from kprobesim.kprobes import KPROBE_KINDS
from kprobesim.machine import MACHINE_KINDS, EventKind, Field
from kprobesim.tracing import BPF_KINDS, FILTER_KINDS, TRACING_KINDS, TRAMPOLINE_KINDS

__all__ = ["EVENT_KINDS"]

EVENT_KINDS: Final[dict[str, EventKind]] = {
    kind.name: kind
    for kind in (*MACHINE_KINDS, *KPROBE_KINDS, *BPF_KINDS, *FILTER_KINDS, *TRACING_KINDS, *TRAMPOLINE_KINDS)
}

# What `Lab.event_json` adds: the machine knows no symbols.
EVENT_KINDS["gate"] = replace(
    EVENT_KINDS["gate"],
    fields=(*EVENT_KINDS["gate"].fields, Field("handler_symbol", "text", "the symbol of the gate's target")),
)
