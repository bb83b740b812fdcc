"""The event kinds of the kprobe manager."""

from typing import Final

from kprobesim.machine import EventKind, Field

__all__ = ["KPROBE_KINDS"]

_PLACE = (
    Field("addr", "address", "the probed instruction"),
    Field("symbol", "text", "the function that contains it"),
    Field("offset", "number", "bytes from the function's start"),
    Field("probe", "text", "the probe's name"),
)

_UPROBE = (
    Field("uprobe", "text", "the place: file and offset"),
    Field("offset", "number", "its offset in the file"),
)

KPROBE_KINDS: Final = (
    EventKind(
        "kprobe.prepare",
        "The instruction was copied to a slot, fixed up and followed by an int3; the text is not changed yet.",
        (
            *_PLACE,
            Field("slot", "address", "the slot"),
            Field("original", "bytes", "the instruction in the text"),
            Field("copy", "bytes", "what was written to the slot"),
            Field("emulated", "number", "1 if the copy will never run because the instruction is emulated"),
        ),
    ),
    EventKind(
        "kprobe.register",
        "A probe is in the table.",
        (*_PLACE, Field("armed", "number", "1 if its int3 is in the text")),
    ),
    EventKind("kprobe.unregister", "A probe left the table.", _PLACE),
    EventKind("kprobe.hit", "kprobe_int3_handler found a probe at ip - 1 and makes it current.", _PLACE),
    EventKind(
        "kprobe.miss",
        "A probe was hit while another one was being handled: its handlers are not run, its instruction is.",
        (*_PLACE, Field("nmissed", "number", "misses of this probe so far")),
    ),
    EventKind(
        "kprobe.pre_handler",
        "A pre_handler returned.",
        (*_PLACE, Field("ret", "number", "non-zero: it changed ip, nothing will be stepped")),
    ),
    EventKind(
        "kprobe.singlestep",
        "regs->ip points to the slot and IF is off in the saved flags: iretq will run the copy there.",
        (*_PLACE, Field("slot", "address", "the copy"), Field("saved_if", "number", "IF of the interrupted code")),
    ),
    EventKind(
        "kprobe.emulate",
        "The instruction was emulated on the saved registers: no slot, no second trap.",
        (*_PLACE, Field("insn", "text", "the instruction"), Field("ip", "address", "where the function goes on")),
    ),
    EventKind(
        "kprobe.resume",
        "The int3 behind the copy was hit: regs->ip is back in the function, behind the probed instruction.",
        (*_PLACE, Field("ip", "address", "where the function goes on")),
    ),
    EventKind("kprobe.post_handler", "A post_handler ran.", _PLACE),
    EventKind(
        "kprobe.fault",
        "The copy faulted in its slot: ip is put back to the probe, as if the original had faulted.",
        (*_PLACE, Field("trapnr", "number", "the exception")),
    ),
    EventKind(
        "kprobe.removed",
        "An int3 was hit whose probe is gone: ip is put back so that the real instruction runs.",
        (Field("addr", "address", "where the int3 was"),),
    ),
    EventKind("uprobe.register", "A place in a program's file is probed.", _UPROBE),
    EventKind("uprobe.unregister", "A place in a program's file is not probed any more.", _UPROBE),
    EventKind(
        "uprobe.install",
        "An int3 was written into a process's own copy of a page of its program.",
        (*_UPROBE, Field("page", "number", "physical address of the copy")),
    ),
    EventKind(
        "uprobe.remove",
        "The instruction's first byte is back in a process's copy of a page.",
        (*_UPROBE, Field("page", "number", "physical address of the copy")),
    ),
    EventKind(
        "uprobe.hit",
        "A program has hit a breakpoint; its handlers run now, on the way back to user mode.",
        (*_UPROBE, Field("ip", "address", "the probed instruction in the process")),
    ),
    EventKind(
        "uprobe.emulate",
        "The instruction was emulated on the program's saved registers.",
        (*_UPROBE, Field("insn", "text", "the instruction"), Field("ip", "address", "where the program goes on")),
    ),
    EventKind(
        "uprobe.singlestep",
        "A copy of the instruction lies in the process's page for such copies, and will run there with TF set.",
        (*_UPROBE, Field("page", "number", "physical address of that page"), Field("copy", "bytes", "the copy")),
    ),
    EventKind(
        "uprobe.return",
        "A probed function has returned to the trampoline; its handlers run now.",
        (*_UPROBE, Field("func", "address", "the function"), Field("ip", "address", "where the program goes on")),
    ),
    EventKind(
        "static_key.enable",
        "A static key was turned on: each branch that asks it is a jump now.",
        (
            Field("key", "address", "the `struct static_key`"),
            Field("name", "text", "the variable it is in"),
            Field("sites", "number", "how many places in the code were patched"),
        ),
    ),
    EventKind(
        "static_key.disable",
        "A static key was turned off: each branch that asks it is a nop again.",
        (
            Field("key", "address", "the `struct static_key`"),
            Field("name", "text", "the variable it is in"),
            Field("sites", "number", "how many places in the code were patched back"),
        ),
    ),
    EventKind(
        "rethook.prepare",
        "The return address on the stack was replaced by the trampoline's.",
        (
            *_PLACE,
            Field("slot", "address", "where on the stack it is"),
            Field("ret_addr", "address", "the real return address, kept"),
        ),
    ),
    EventKind(
        "rethook.handler",
        "The function returned to the trampoline; the return probe's handler ran.",
        (*_PLACE, Field("ret_addr", "address", "where it will go on"), Field("retval", "number", "rax")),
    ),
    EventKind(
        "rethook.miss",
        "All of the return probe's nodes are in use: this call's return is not seen.",
        (*_PLACE, Field("nmissed", "number", "misses so far")),
    ),
)
