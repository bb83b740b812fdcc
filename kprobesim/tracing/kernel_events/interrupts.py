"""The events of interrupts, exceptions and deferred work.

Linux 6.1 include/trace/events/irq.h and workqueue.h, arch/x86/include/asm/trace/irq_vectors.h and exceptions.h.
"""

from __future__ import annotations

from typing import Any, Final

from kprobesim.machine import VCpu
from kprobesim.tracing.kernel_events.event import EventSpec, text_of
from kprobesim.tracing.kernel_events.guest import Guest
from kprobesim.tracing.kernel_events.layout import Layout, Value

__all__ = ["EXCEPTION_EVENTS", "IRQ_EVENTS", "IRQ_VECTOR_EVENTS", "WORKQUEUE_EVENTS"]


def _assign_irq_entry(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    irq, action = args
    return irq, guest.text(guest.member("irqaction", action, "name"))


def _print_irq_entry(guest: Guest, values: list[Any]) -> str:
    irq, name = values
    return f"irq={irq} name={text_of(name)}"


def _assign_irq_exit(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    irq, _action, ret = args
    return irq, ret


def _print_irq_exit(guest: Guest, values: list[Any]) -> str:
    irq, ret = values
    return f"irq={irq} ret={'handled' if ret else 'unhandled'}"


IRQ_EVENTS: Final = (
    EventSpec(
        "irq",
        "irq_handler_entry",
        Layout(("int irq", "__string name")),
        _assign_irq_entry,
        '"irq=%d name=%s", REC->irq, __get_str(name)',
        _print_irq_entry,
    ),
    EventSpec(
        "irq",
        "irq_handler_exit",
        Layout(("int irq", "int ret")),
        _assign_irq_exit,
        '"irq=%d ret=%s", REC->irq, REC->ret ? "handled" : "unhandled"',
        _print_irq_exit,
    ),
)


def _vector(name: str) -> EventSpec:
    def assign(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
        return args

    def text(guest: Guest, values: list[Any]) -> str:
        return f"vector={values[0]}"

    return EventSpec("irq_vectors", name, Layout(("int vector",)), assign, '"vector=%d", REC->vector', text)


IRQ_VECTOR_EVENTS: Final = tuple(
    _vector(f"{name}_{end}") for name in ("local_timer", "irq_work", "reschedule") for end in ("entry", "exit")
)


def _page_fault(name: str) -> EventSpec:
    def assign(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
        address, regs, error_code = args
        return address, guest.regs(cpu, regs).ip, error_code

    def text(guest: Guest, values: list[Any]) -> str:
        address, ip, error_code = values
        return f"address={guest.symbol(address)} ip={guest.symbol(ip)} error_code=0x{error_code:x}"

    return EventSpec(
        "exceptions",
        name,
        Layout(("unsigned long address", "unsigned long ip", "unsigned long error_code")),
        assign,
        '"address=%ps ip=%ps error_code=0x%lx", (void *)REC->address, (void *)REC->ip, REC->error_code',
        text,
    )


EXCEPTION_EVENTS: Final = (_page_fault("page_fault_user"), _page_fault("page_fault_kernel"))


def _work(name: str) -> EventSpec:
    def assign(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
        work = args[0]
        return work, args[1] if len(args) > 1 else guest.member("work_struct", work, "func")

    def text(guest: Guest, values: list[Any]) -> str:
        work, function = values
        return f"work struct {guest.pointer(work)}: function {guest.symbol(function)}"

    return EventSpec(
        "workqueue",
        name,
        Layout(("void * work", "void * function")),
        assign,
        '"work struct %p: function %ps", REC->work, REC->function',
        text,
    )


WORKQUEUE_EVENTS: Final = (_work("workqueue_execute_start"), _work("workqueue_execute_end"))
