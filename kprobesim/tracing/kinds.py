"""The event kinds of BPF programs on probes, and of probe events."""

from typing import Final

from kprobesim.machine import EventKind, Field

__all__ = ["BPF_KINDS", "FILTER_KINDS", "TRACING_KINDS", "TRAMPOLINE_KINDS"]

_PROG = Field("prog", "text", "the program's name")
_MAP = (
    Field("map", "text", "the map's name"),
    Field("key", "bytes", "the key"),
)

_RING = Field("map", "text", "the map's name")
_SIZE = Field("size", "number", "bytes of the sample")
_DATA = Field("data", "bytes", "the sample, its first 64 bytes at most")

BPF_KINDS: Final = (
    EventKind(
        "bpf.load",
        "A program passed the verifier and is in the kernel.",
        (
            _PROG,
            Field("tag", "text", "its tag"),
            Field("insns", "number", "8-byte slots"),
            Field("processed", "number", "instructions that the verifier walked through; 0 if it was left out"),
        ),
    ),
    EventKind(
        "bpf.jit",
        "The program was compiled to x86-64 code in the kernel's memory.",
        (_PROG, Field("addr", "address", "of the first function"), Field("size", "number", "bytes of code")),
    ),
    EventKind(
        "map.create",
        "A map was made in guest memory.",
        (
            Field("map", "text", "the map's name"),
            Field("type", "text", "its type"),
            Field("addr", "address", "where its head is"),
        ),
    ),
    EventKind(
        "bpf.refuse",
        "The kernel refused a program that came by bpf(2).",
        (
            _PROG,
            Field("errno", "number", "what the call returns, without the minus"),
            Field("reason", "text", "the verifier's last line, or what else is wrong"),
        ),
    ),
    EventKind(
        "bpf.pin",
        "A program or a map that came by bpf(2) has a name under /sys/fs/bpf.",
        (
            Field("path", "text", "the name"),
            Field("type", "text", "`prog` or `map`"),
            Field("id", "number", "its id"),
        ),
    ),
    EventKind("bpf.free", "Nobody has the program any more: it is gone.", (_PROG,)),
    EventKind("map.free", "Nobody has the map any more: it is gone.", (Field("map", "text", "the map's name"),)),
    EventKind("bpf.attach", "A program is attached.", (_PROG, Field("probe", "text", "to what: a probe or an event"))),
    EventKind("bpf.detach", "A program is detached.", (_PROG, Field("probe", "text", "from what"))),
    EventKind(
        "bpf.enter",
        "A program starts: R1 is the context, R10 the top of its stack.",
        (
            _PROG,
            Field(
                "ctx",
                "address",
                "`struct pt_regs` of the interrupted code; at a tracepoint the record or, if raw, the arguments; in a "
                "trampoline the function's arguments; a filter's `seccomp_data` or `sk_buff`",
            ),
            Field("fp", "address", "R10"),
            Field("jited", "address", "its machine code, which the CPU calls; not there if it is interpreted"),
        ),
    ),
    EventKind(
        "bpf.helper",
        "The program called a helper.",
        (
            _PROG,
            Field("name", "text", "the helper"),
            Field("args", "list", "its arguments, R1 and up"),
            Field("ret", "number", "what it returned, as an unsigned 64-bit number"),
        ),
    ),
    EventKind(
        "map.update",
        "An element of a map has a new value: by `bpf_map_update_elem`, by bpftool, or written through the pointer of "
        "a look-up (noticed when the program ends).",
        (
            *_MAP,
            Field("old", "bytes", "the value before; empty for a new element"),
            Field("new", "bytes", "the value now"),
        ),
    ),
    EventKind("map.delete", "An element left a map.", _MAP),
    EventKind("map.evict", "An LRU hash threw an element out to make room for another.", _MAP),
    EventKind(
        "map.push",
        "A value was put into a queue, a stack or a bloom filter.",
        (Field("map", "text", "the map's name"), Field("value", "bytes", "the value")),
    ),
    EventKind(
        "map.pop",
        "A value was taken out of a queue or a stack.",
        (Field("map", "text", "the map's name"), Field("value", "bytes", "the value")),
    ),
    EventKind(
        "map.stack",
        "A stack trace that was not there before was put into a map.",
        (
            Field("map", "text", "the map's name"),
            Field("id", "number", "its id: a part of its hash"),
            Field("frames", "list", "the addresses, innermost first"),
        ),
    ),
    EventKind(
        "ringbuf.submit",
        "A record of a ring buffer is complete: a consumer may read it.",
        (
            _RING,
            Field("pos", "number", "where in the ring its header is, in bytes"),
            _SIZE,
            _DATA,
            Field("wakeup", "number", "1: a waiting consumer is woken, as it had read all that came before"),
        ),
    ),
    EventKind(
        "ringbuf.discard",
        "A record of a ring buffer was given up: a consumer skips it.",
        (_RING, Field("pos", "number", "where in the ring its header is, in bytes"), _SIZE),
    ),
    EventKind("ringbuf.full", "A ring buffer had no room for a record, which is lost.", (_RING, _SIZE)),
    EventKind("perf.output", "A sample was written into a perf event's ring.", (_RING, _SIZE, _DATA)),
    EventKind(
        "perf.lost",
        "A perf event's ring had no room for a sample.",
        (_RING, _SIZE, Field("lost", "number", "samples of this event that are lost")),
    ),
    EventKind(
        "bpf.tail_call",
        "The program jumped into another one and will not come back.",
        (
            Field("map", "text", "the program array's name"),
            Field("index", "number", "the place in the array"),
            Field("prog", "text", "the other program"),
            Field("count", "number", "tail calls of this run so far; 33 is the limit"),
        ),
    ),
    EventKind(
        "bpf.signal",
        "The program sent a signal to the current task.",
        (Field("sig", "number", "the signal"), Field("pid", "number", "the task")),
    ),
    EventKind(
        "bpf.override",
        "The program made the probed function return at once, before its first instruction.",
        (Field("retval", "number", "what the caller gets, as an unsigned 64-bit number"),),
    ),
    EventKind("trace.printk", "`bpf_trace_printk` wrote a line for trace_pipe.", (Field("text", "text", "the line"),)),
    EventKind(
        "bpf.exit",
        "The program returned.",
        (_PROG, Field("r0", "number", "R0, as an unsigned 64-bit number")),
    ),
    EventKind(
        "bpf.fault",
        "The program could not go on; the probed kernel goes on without it.",
        (_PROG, Field("message", "text", "what went wrong")),
    ),
    EventKind(
        "bpf.extable",
        "A load of a program's machine code has faulted, and the kernel has found it in the program's exception table.",
        (
            _PROG,
            Field("addr", "address", "the load"),
            Field("register", "text", "the register that will be 0"),
        ),
    ),
    EventKind(
        "bpf.skip",
        "The program was not run because another one is running on this CPU, or it is itself; no counter counts this.",
        (_PROG,),
    ),
)

_TRAMPOLINE = (
    Field("addr", "address", "the trampoline's page"),
    Field("func", "text", "the traced function"),
)

TRAMPOLINE_KINDS: Final = (
    EventKind(
        "trampoline.prepare",
        "A function has got a trampoline for the programs that are on it now.",
        (
            *_TRAMPOLINE,
            Field("size", "number", "bytes of code"),
            Field("progs", "text", "the programs, the latest first, and how each is attached"),
            Field("calls", "number", "1 if it calls the function itself, for fexit and fmod_ret"),
        ),
    ),
    EventKind(
        "trampoline.enter",
        "A trampoline that will call the function itself was entered: its page must stay.",
        (*_TRAMPOLINE, Field("calls", "number", "calls under way in it now")),
    ),
    EventKind(
        "trampoline.exit",
        "A trampoline that has called the function itself is about to return to the caller.",
        (*_TRAMPOLINE, Field("calls", "number", "calls under way in it now")),
    ),
    EventKind("trampoline.free", "A trampoline that nobody is inside of any more was given back.", _TRAMPOLINE),
)

_FILTER = Field("prog", "address", "its `struct bpf_prog`")

FILTER_KINDS: Final = (
    EventKind(
        "filter.refuse",
        "A classic program was refused: the call that brought it fails.",
        (
            Field("errno", "number", "what the call returns, without the minus"),
            Field("insn", "number", "the first instruction at fault; -1 if it is no single one"),
            Field("reason", "text", "what is wrong; the kernel says no more than the errno"),
        ),
    ),
    EventKind(
        "filter.check",
        "A classic program has passed the checks that all must pass; seccomp has more.",
        (
            Field("insns", "number", "its instructions"),
            Field("text", "text", "the first 32 of them, as `tcpdump -d` prints them"),
        ),
    ),
    EventKind(
        "filter.load",
        "A classic program was checked and converted; it is now an eBPF program of the kernel.",
        (
            _FILTER,
            Field("mode", "text", "`seccomp` or `socket`"),
            Field("insns", "number", "instructions of eBPF"),
            Field("jited", "address", "its machine code; not there if it will be interpreted"),
            Field("code", "bytes", "the first 64 bytes of that"),
        ),
    ),
    EventKind(
        "seccomp.verdict",
        "Secure computing has decided on a system call, before it is made.",
        (
            Field("pid", "number", "of the task"),
            Field("comm", "text", "its name"),
            Field("nr", "number", "number of the system call"),
            Field("arch", "number", "its calling convention, `AUDIT_ARCH_*`"),
            Field("ip", "address", "behind the `syscall` instruction: SIGSYS's si_call_addr"),
            Field("args", "list", "its six arguments"),
            Field("mode", "text", "`strict` or `filter`"),
            Field("action", "text", "what is done, the name behind `SECCOMP_RET_`"),
            Field("data", "number", "the lower half: the errno, or SIGSYS's si_errno"),
            Field("ret", "number", "what the filters returned, 32 bits"),
        ),
    ),
    EventKind(
        "socket.verdict",
        "The filter of a socket has decided on a packet, before the socket gets it.",
        (
            Field("skb", "address", "its `struct sk_buff`"),
            Field("len", "number", "bytes of the packet, from the transport header on"),
            Field("ret", "number", "what the filter returned: how many of them to keep"),
            Field("kept", "number", "how many are kept; 0: it is dropped"),
            Field("verdict", "text", "`drop`, `trim` or `keep`"),
            Field("packet", "bytes", "its first 64 bytes"),
        ),
    ),
)

_EVENT = Field("event", "text", "`group:name`")
_INSTANCE = Field("instance", "text", "the trace that it concerns, by its name; not there if it is no instance")
_TRIGGER = Field("trigger", "text", "the line of the event's `trigger` file")
_COMMAND = Field("command", "text", "the line of `kprobe_events`")

TRACING_KINDS: Final = (
    EventKind(
        "tracepoint.hit",
        "A tracepoint that is on was reached: whoever has registered with it is called.",
        (
            Field("name", "text", "the tracepoint"),
            Field("args", "list", "its arguments, as unsigned numbers of their types' sizes"),
        ),
    ),
    EventKind(
        "event.define",
        "A command for `kprobe_events` was accepted: its probe is registered, and armed only if the event is on.",
        (_EVENT, Field("id", "number", "the number in its records"), _COMMAND),
    ),
    EventKind("event.remove", "A probe event, or one of the probes of an event, was removed.", (_EVENT, _COMMAND)),
    EventKind(
        "event.enable", "An event was switched on: its probes are armed, or its tracepoint is.", (_EVENT, _INSTANCE)
    ),
    EventKind(
        "event.disable", "An event was switched off; its source too, unless somebody else uses it.", (_EVENT, _INSTANCE)
    ),
    EventKind(
        "trigger.set", "A trigger was put on an event: its source is on from now.", (_EVENT, _INSTANCE, _TRIGGER)
    ),
    EventKind("trigger.remove", "A trigger was taken off an event.", (_EVENT, _INSTANCE, _TRIGGER)),
    EventKind("trigger.fire", "A hit set a trigger off, and it changed something.", (_EVENT, _INSTANCE, _TRIGGER)),
    EventKind(
        "trace.instance",
        "One more trace was made: a folder under `instances/`, with buffers and switches of its own.",
        (Field("instance", "text", "its name"),),
    ),
    EventKind(
        "trace.instance_remove",
        "An instance and all that was recorded in it are gone; its events are off.",
        (Field("instance", "text", "its name"),),
    ),
    EventKind(
        "trace.entry",
        "An event wrote a record into the trace buffer.",
        (
            _EVENT,
            _INSTANCE,
            Field("text", "text", "what `trace` shows of it, without the columns before the event's name"),
        ),
    ),
)
