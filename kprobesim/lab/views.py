"""What can be seen of the machine at one moment, as plain records.

Nothing here prints and nothing is kept: each function reads the guest's memory and registers as they are now.
"""

from __future__ import annotations

from dataclasses import dataclass

from kprobesim.image import DecodeError, Instruction, SourceLine, decode_one, decode_range
from kprobesim.kprobes import (
    PT_REGS_FIELDS,
    PT_REGS_SIZE,
    Kprobe,
    KprobeCtlblk,
    Kprobes,
    OptInsn,
    RunningKernel,
    disassemble_detour,
)
from kprobesim.kprobes.prepare import recover_code
from kprobesim.machine import MemoryFault

__all__ = [
    "CodeLine",
    "KprobeView",
    "MapView",
    "ProbeView",
    "StackWord",
    "code_lines",
    "kprobe_view",
    "stack_words",
]

_FRAME_FIELDS = ("ip", "cs", "flags", "sp", "ss")


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One instruction of a function.

    Attributes:
        address: of its first byte.
        memory: the bytes in guest memory now.
        original: the bytes that the instruction really has; differs from ``memory`` under an armed probe.
        text: the instruction, AT&T syntax.
        source: the C or assembly line it belongs to, where that begins here.
    """

    address: int
    memory: bytes
    original: bytes
    text: str
    source: SourceLine | None

    @property
    def patched(self) -> bool:
        """A probe's int3 stands here."""
        return self.memory != self.original


@dataclass(frozen=True, slots=True)
class StackWord:
    """One word of the stack.

    Attributes:
        address: where it is.
        value: what is there.
        field: its name in the trap frame or in ``struct pt_regs``, or empty.
        symbol: the symbol it points into, if it looks like a return address.
    """

    address: int
    value: int
    field: str
    symbol: str


@dataclass(frozen=True, slots=True)
class ProbeView:
    """One registered probe.

    Attributes:
        name, symbol, offset, address: which and where.
        armed: its int3 or its jump is in guest memory now.
        byte: the first byte of the place in memory.
        hidden: the byte of the kernel's own there.
        slot: address of the copy.
        slot_code: the instructions in the slot, the int3 included.
        nmissed: hits without handlers.
        emulated: the copy is never run.
        optimized: it is a jump, or waits to become one.
        detour: address of its detour buffer; 0 without one.
        detour_code: the instructions in the buffer.
        ftrace: ftrace serves it: the function's entry is a call, and there is no slot.
    """

    name: str
    symbol: str
    offset: int
    address: int
    armed: bool
    byte: int
    hidden: int
    slot: int
    slot_code: tuple[CodeLine, ...]
    nmissed: int
    emulated: bool
    optimized: bool
    detour: int
    detour_code: tuple[CodeLine, ...]
    ftrace: bool


@dataclass(frozen=True, slots=True)
class KprobeView:
    """The state of the kprobe machinery on one CPU.

    Attributes:
        current: name of the probe being handled, or empty (``current_kprobe``).
        status: ``kprobe_status``: NONE, HIT_ACTIVE, HIT_SS, REENTER, HIT_SSDONE.
        saved_if: IF of the interrupted code.
        previous: name of the outer probe, or empty (``prev_kprobe``).
        probes: all registered probes.
    """

    current: str
    status: str
    saved_if: bool
    previous: str
    probes: tuple[ProbeView, ...]


@dataclass(frozen=True, slots=True)
class MapView:
    """One BPF map: its type and what is in it."""

    name: str
    type: str
    key_size: int
    value_size: int
    max_entries: int
    address: int
    entries: tuple[tuple[bytes, bytes], ...]


def code_lines(
    kernel: RunningKernel, kprobes: Kprobes, start: int, size: int, source: dict[int, SourceLine]
) -> tuple[CodeLine, ...]:
    """The instructions of a stretch of code, decoded as they were before any probe was armed.

    Args:
        kernel, kprobes: whose code and which probes.
        start: address of an instruction.
        size: in bytes.
        source: source lines by the address they begin at.
    """
    try:
        original = recover_code(kernel, start, size, kprobes.hidden)
        memory = kernel.read(start, size)
    except MemoryFault:
        return ()
    lines = []
    for item in decode_range(original, start, kernel.kallsyms.symbolize):
        offset = item.address - start
        raw = item.raw if isinstance(item, Instruction) else item.raw[:1]
        text = item.text if isinstance(item, Instruction) else "(bad)"
        there = memory[offset : offset + len(raw)]
        lines.append(CodeLine(item.address, there, raw, text, source.get(item.address)))
    return tuple(lines)


def _slot_lines(kernel: RunningKernel, probe: Kprobe) -> tuple[CodeLine, ...]:
    if probe.ainsn is None:
        return ()
    slot, size = probe.ainsn.insn, len(probe.ainsn.copy)
    code = kernel.read(slot, size)
    lines = []
    for at in (0, probe.ainsn.size):
        item = decode_one(code[at:], slot + at, kernel.kallsyms.symbolize)
        if not isinstance(item, DecodeError):
            lines.append(CodeLine(item.address, item.raw, item.raw, item.text, None))
    return tuple(lines)


def _detour_lines(kernel: RunningKernel, optinsn: OptInsn) -> tuple[CodeLine, ...]:
    code = kernel.read(optinsn.insn, optinsn.end - optinsn.insn)
    listing = disassemble_detour(optinsn, code, kernel.kallsyms.symbolize)
    return tuple(CodeLine(insn.address, insn.raw, insn.raw, insn.text, None) for insn in listing)


def kprobe_view(kprobes: Kprobes, cpu: int) -> KprobeView:
    """The kprobe machinery as it is on a CPU."""
    block: KprobeCtlblk = kprobes.ctlblk[cpu]
    probes = []
    for probe in kprobes:
        assert probe.addr is not None
        place = kprobes.place(probe)
        site = kprobes.get_kprobe(probe.addr) or probe
        probes.append(
            ProbeView(
                name=place["probe"],
                symbol=place["symbol"],
                offset=place["offset"],
                address=probe.addr,
                armed=kprobes.is_armed(probe),
                byte=kprobes.kernel.read(probe.addr, 1)[0],
                hidden=probe.opcode,
                slot=probe.ainsn.insn if probe.ainsn is not None else 0,
                slot_code=_slot_lines(kprobes.kernel, probe),
                nmissed=probe.nmissed,
                emulated=probe.ainsn is not None and probe.ainsn.emulate_op is not None,
                optimized=site.is_optimized,
                detour=site.optinsn.insn if site.optinsn else 0,
                detour_code=_detour_lines(kprobes.kernel, site.optinsn) if site.optinsn else (),
                ftrace=probe.ainsn is None,
            )
        )

    def name(probe: Kprobe | None) -> str:
        return "" if probe is None or probe.addr is None else str(kprobes.place(probe)["probe"])

    return KprobeView(
        current=name(block.current),
        status=block.status.name,
        saved_if=bool(block.saved_flags),
        previous=name(block.previous[0]) if block.status.name == "REENTER" else "",
        probes=tuple(probes),
    )


def stack_words(
    kernel: RunningKernel, rsp: int, count: int, frame_at: int | None, regs_at: int | None
) -> tuple[StackWord, ...]:
    """Words of the stack from its top up.

    Args:
        kernel: whose memory.
        rsp: the stack pointer.
        count: how many words at most.
        frame_at: address of the trap frame that the CPU pushed last, if the trap is still being handled.
        regs_at: address of the ``struct pt_regs`` that the entry code made of it, if it is complete.
    """
    names: dict[int, str] = {}
    if frame_at is not None:
        names |= {frame_at + 8 * index: field for index, field in enumerate(_FRAME_FIELDS)}
    if regs_at is not None:
        names |= {regs_at + 8 * index: f"regs->{field}" for index, field in enumerate(PT_REGS_FIELDS)}
    words = []
    for index in range(count):
        address = rsp + 8 * index
        try:
            value = kernel.read_u64(address)
        except MemoryFault:
            break
        symbol = ""
        if kernel.tables.is_text(value):
            symbol = kernel.kallsyms.symbolize(value)
        words.append(StackWord(address, value, names.get(address, ""), symbol))
    return tuple(words)


def pt_regs_below(frame_at: int, *, gap: bool) -> int:
    """Where the entry code puts ``struct pt_regs`` for a frame that the CPU pushed without an error code.

    Args:
        frame_at: address of the frame's lowest word.
        gap: whether the frame is copied first, as for an int3 in the kernel.
    """
    top = frame_at + 8 * len(_FRAME_FIELDS)
    return top - PT_REGS_SIZE - (48 if gap else 0)
