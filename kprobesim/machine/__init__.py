"""The computer: vCPUs on Unicorn, RAM, page tables, trap delivery, devices, the clock, forwards and backwards.

Knows nothing of probes, BPF or Linux.
"""

from typing import TYPE_CHECKING

from kprobesim.on_demand import on_demand

if TYPE_CHECKING:
    from kprobesim.machine.devices import FIRST_KERNEL_HYPERCALL, Devices, Hypercall
    from kprobesim.machine.events import Event, EventKind, EventLog, Field, Moment, event_json
    from kprobesim.machine.kinds import MACHINE_KINDS
    from kprobesim.machine.machine import Machine
    from kprobesim.machine.memory import PAGE_SIZE, MemoryFault, PageEntry, PhysicalMemory
    from kprobesim.machine.registers import GENERAL
    from kprobesim.machine.stop import Stop
    from kprobesim.machine.timeline import Input, Life, Timeline
    from kprobesim.machine.upcalls import Answer, GuestCall, each, is_abandoned, then
    from kprobesim.machine.vcpu import VCpu
    from kprobesim.machine.watching import noting_writes
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "kprobesim.machine.devices": ["FIRST_KERNEL_HYPERCALL", "Devices", "Hypercall"],
            "kprobesim.machine.events": ["Event", "EventKind", "EventLog", "Field", "Moment", "event_json"],
            "kprobesim.machine.kinds": ["MACHINE_KINDS"],
            "kprobesim.machine.machine": ["Machine"],
            "kprobesim.machine.memory": ["PAGE_SIZE", "MemoryFault", "PageEntry", "PhysicalMemory"],
            "kprobesim.machine.registers": ["GENERAL"],
            "kprobesim.machine.stop": ["Stop"],
            "kprobesim.machine.timeline": ["Input", "Life", "Timeline"],
            "kprobesim.machine.upcalls": ["Answer", "GuestCall", "each", "is_abandoned", "then"],
            "kprobesim.machine.vcpu": ["VCpu"],
            "kprobesim.machine.watching": ["noting_writes"],
        },
    )

__all__ = [
    "FIRST_KERNEL_HYPERCALL",
    "GENERAL",
    "MACHINE_KINDS",
    "PAGE_SIZE",
    "Answer",
    "Devices",
    "Event",
    "EventKind",
    "EventLog",
    "Field",
    "GuestCall",
    "Hypercall",
    "Input",
    "Life",
    "Machine",
    "MemoryFault",
    "Moment",
    "PageEntry",
    "PhysicalMemory",
    "Stop",
    "Timeline",
    "VCpu",
    "each",
    "event_json",
    "is_abandoned",
    "noting_writes",
    "then",
]
