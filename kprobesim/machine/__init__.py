"""The computer: vCPUs on Unicorn, RAM, page tables, trap delivery, devices, the clock, forwards and backwards.

Knows nothing of probes, BPF or Linux.
"""

from kprobesim.machine.devices import Devices, Hypercall
from kprobesim.machine.events import Event, EventKind, EventLog, Field, Moment, event_json
from kprobesim.machine.kinds import MACHINE_KINDS
from kprobesim.machine.machine import Machine, Stop
from kprobesim.machine.memory import PAGE_SIZE, MemoryFault, PageEntry, PhysicalMemory
from kprobesim.machine.registers import GENERAL
from kprobesim.machine.timeline import Input, Life, Timeline
from kprobesim.machine.upcalls import Answer, GuestCall, each, is_abandoned, then
from kprobesim.machine.vcpu import VCpu
from kprobesim.machine.watching import noting_writes

__all__ = [
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
