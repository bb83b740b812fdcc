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
        (
            *_PLACE,
            Field("armed", "number", "1 if its int3, or its call of ftrace, is in the text"),
            Field("by", "text", "what will bring the CPU to it: int3 or ftrace"),
        ),
    ),
    EventKind("kprobe.unregister", "A probe left the table.", _PLACE),
    EventKind(
        "kprobe.hit",
        "A probe is hit: it was looked up and made current.",
        (*_PLACE, Field("by", "text", "what brought the CPU here: int3 or ftrace")),
    ),
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
        "kprobe.boost",
        "regs->ip points to the boosted copy: behind it a jump leads back, without a second trap and a post_handler.",
        (*_PLACE, Field("slot", "address", "the copy")),
    ),
    EventKind(
        "kprobe.step_tf",
        "regs->ip points to the slot, TF is on and IF off in the saved flags: after one instruction there comes a #DB.",
        (*_PLACE, Field("slot", "address", "the copy"), Field("saved_if", "number", "IF of the interrupted code")),
    ),
    EventKind(
        "kprobe.debug",
        "The copy has run and raised #DB: what it did as if it were in the text is put right.",
        (
            *_PLACE,
            Field("ip", "address", "where the function goes on"),
            Field("fixed", "text", "what was put right: ip, return address, flags on the stack, or nothing"),
        ),
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
        "kprobe.opt_prepare",
        "The detour buffer of a probe that can be optimized was made; the text is not changed yet.",
        (
            *_PLACE,
            Field("detour", "address", "the detour buffer"),
            Field("size", "number", "bytes of the instructions that the jump will replace"),
            Field(
                "code", "bytes", "the buffer: save, call optimized_callback, restore, copied instructions, jump back"
            ),
        ),
    ),
    EventKind(
        "kprobe.opt_refuse",
        "A probe stays an int3: a jump in its place would not be safe.",
        (*_PLACE, Field("reason", "text", "what was found")),
    ),
    EventKind(
        "kprobe.opt_queue",
        "A probe waits to become a jump; it counts as optimized from now on.",
        (*_PLACE, Field("detour", "address", "the detour buffer")),
    ),
    EventKind("kprobe.opt_dequeue", "A probe that waited to become a jump does not wait any more.", _PLACE),
    EventKind("kprobe.unopt_queue", "A jump waits to become an int3 again.", _PLACE),
    EventKind(
        "kprobe.optimizer",
        "The delayed work runs: it takes jumps away, waits until nobody is in the way, and makes new jumps.",
        (
            Field("optimizing", "number", "probes that are to become jumps"),
            Field("unoptimizing", "number", "jumps that are to become int3 again"),
        ),
    ),
    EventKind(
        "kprobe.optimize",
        "A probe is a jump to its detour buffer now.",
        (*_PLACE, Field("detour", "address", "the detour buffer")),
    ),
    EventKind("kprobe.unoptimize", "A jump is an int3 again, and the bytes behind it are the kernel's own.", _PLACE),
    EventKind(
        "kprobe.opt_free",
        "A detour buffer is not needed any more.",
        (*_PLACE, Field("detour", "address", "the detour buffer")),
    ),
    EventKind(
        "kprobe.opt_hit",
        "optimized_callback was called from a detour buffer, completed pt_regs and made the probe current.",
        _PLACE,
    ),
    EventKind(
        "kprobe.opt_pre_handler",
        "The pre_handlers of an optimized probe returned.",
        (*_PLACE, Field("ret", "number", "the last answer that was not 0, which is ignored")),
    ),
    EventKind(
        "kprobe.detour",
        "After an int3, regs->ip points to the copied instructions in the detour buffer; they jump back by themselves.",
        (*_PLACE, Field("ip", "address", "the copied instructions")),
    ),
    EventKind(
        "text.sync",
        "text_poke_sync() is over: every CPU has seen what a stage of a patch wrote.",
        (Field("addr", "address", "the first byte of the patch"), Field("stage", "number", "1 to 3")),
    ),
    EventKind(
        "text.emulate",
        "A CPU met the int3 of a patch under way and was given the new instruction's effect.",
        (
            Field("addr", "address", "where the int3 is"),
            Field("new", "bytes", "the instruction that was emulated"),
            Field("ip", "address", "where the CPU goes on"),
            Field("stage", "number", "the stage that was written last, 1 to 3"),
        ),
    ),
    EventKind(
        "ftrace.trampoline",
        "A user of ftrace has got a copy of ftrace_regs_caller of its own, which calls its function.",
        (
            Field("addr", "address", "the copy"),
            Field("size", "number", "its length in bytes"),
            Field("user", "text", "the ftrace_ops"),
            Field("func", "address", "the function that it calls"),
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
    EventKind(
        "rethook.warn",
        "WARN: the trampoline was reached through another place of the stack than that of the call awaited last.",
        (
            Field("frame", "address", "where it was reached"),
            Field("expected", "address", "where the return was awaited"),
            Field("ret_addr", "address", "where it goes on all the same"),
        ),
    ),
    EventKind(
        "fprobe.register",
        "An fprobe has hooked the entries of its functions.",
        (
            Field("probe", "text", "the fprobe's name"),
            Field("functions", "number", "how many"),
            Field("nodes", "number", "calls whose return can be awaited at once; 0 without an exit_handler"),
        ),
    ),
    EventKind(
        "fprobe.unregister", "An fprobe has let go of its functions.", (Field("probe", "text", "the fprobe's name"),)
    ),
    EventKind("fprobe.entry", "A function of an fprobe was entered; its entry_handler, if any, ran.", _PLACE),
    EventKind(
        "fprobe.exit",
        "The function returned to the trampoline; the fprobe's exit_handler ran.",
        (*_PLACE, Field("ret_addr", "address", "where it will go on"), Field("retval", "number", "rax")),
    ),
    EventKind(
        "fprobe.miss",
        "Neither handler runs: no node is left, or another handler is under way on this CPU.",
        (*_PLACE, Field("nmissed", "number", "misses so far")),
    ),
)
