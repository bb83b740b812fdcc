"""The event kinds that the machine itself emits."""

from typing import Final

from kprobesim.machine.events import EventKind, Field

__all__ = ["MACHINE_KINDS"]

_TASK = (
    Field("task", "address", "the task's `struct task_struct`"),
    Field("pid", "number", "its pid"),
    Field("comm", "text", "its name"),
)

MACHINE_KINDS: Final = (
    EventKind(
        "input",
        "Somebody outside the machine did something: typed a command, registered a probe.",
        (Field("text", "text", "what was done, in a few words"),),
    ),
    EventKind(
        "trap",
        "The CPU interrupts the program: an exception, a software interrupt or an external one.",
        (
            Field("vector", "number", "0 to 255"),
            Field("name", "text", "the manual's mnemonic (`#BP`, `#PF`...) or `IRQ 0x..`"),
            Field("rip", "address", "the instruction pointer that will be saved"),
            Field("user", "number", "1 if ring 3 was interrupted"),
            Field("error_code", "number", "what the CPU pushes, for the vectors that have one"),
            Field("cr2", "address", "the address that faulted, for `#PF`"),
        ),
    ),
    EventKind(
        "gate",
        "The CPU has read the gate from the guest's IDT, pushed the frame on the guest's stack and jumped.",
        (
            Field("vector", "number", "0 to 255"),
            Field("handler", "address", "the gate's target, now in RIP"),
            Field("rsp", "address", "the stack pointer, just below the frame"),
            Field("frame", "bytes", "the frame as pushed, lowest address first"),
        ),
    ),
    EventKind(
        "syscall",
        "A program executed `syscall`; the CPU rises to ring 0 and jumps to LSTAR.",
        (
            Field("nr", "number", "RAX: the system call's number"),
            Field("args", "list", "RDI, RSI, RDX, R10, R8, R9"),
            Field("rip", "address", "where the program goes on; RCX will hold it"),
        ),
    ),
    EventKind(
        "text.poke",
        "The host wrote into the kernel's code, and every CPU forgot what it had translated of it.",
        (
            Field("addr", "address", "the first byte"),
            Field("symbol", "text", "the function that contains it"),
            Field("offset", "number", "bytes from the function's start"),
            Field("old", "bytes", "bytes before"),
            Field("new", "bytes", "bytes now in guest memory"),
            Field("stage", "number", "1, 2 or 3 where a patch is made in stages"),
        ),
    ),
    EventKind("console", "The kernel finished a line on the console.", (Field("text", "text", "the line"),)),
    EventKind("idle", "All CPUs wait; the clock skips ahead.", (Field("skipped_ns", "number", "nanoseconds"),)),
    EventKind(
        "cpu.up",
        "A further vCPU starts.",
        (Field("number", "number", "which"), Field("entry", "address", "its first instruction")),
    ),
    EventKind(
        "ipi",
        "A CPU interrupts another one.",
        (Field("to", "number", "the vCPU"), Field("vector", "number", "32 to 255")),
    ),
    EventKind("power.off", "The kernel switched the machine off.", (Field("code", "number", "exit code"),)),
    EventKind("panic", "The kernel gave up.", (Field("message", "text", "its last words"),)),
    EventKind("boot.done", "The kernel is about to run its first program.", ()),
    EventKind(
        "sched.switch",
        "A CPU goes on with another task.",
        (
            Field("prev", "address", "`struct task_struct` that ran"),
            Field("prev_pid", "number", "its pid"),
            Field("prev_comm", "text", "its name"),
            Field("next", "address", "`struct task_struct` that runs now"),
            Field("next_pid", "number", "its pid"),
            Field("next_comm", "text", "its name"),
        ),
    ),
    EventKind("task.new", "A task was made.", _TASK),
    EventKind("task.exec", "A task runs another program.", _TASK),
    EventKind("task.exit", "A task ends.", _TASK),
)
