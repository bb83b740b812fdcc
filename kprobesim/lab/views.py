"""What can be seen of the machine at one moment, as plain records.

Nothing here prints and nothing is kept: each function reads the guest's memory and registers as they are now.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kprobesim.image import SourceLine
from kprobesim.kprobes import (
    PT_REGS_FIELDS,
    PT_REGS_SIZE,
    Kprobe,
    KprobeCtlblk,
    Kprobes,
    OptInsn,
    RunningKernel,
)
from kprobesim.kprobes.prepare import recover_code
from kprobesim.kprobes.reljump import JMP32_SIZE
from kprobesim.lab.listing import BAD, Listing
from kprobesim.machine import PAGE_SIZE, MemoryFault

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
    kprobes: Kprobes, listing: Listing, start: int, size: int, source: dict[int, SourceLine]
) -> tuple[CodeLine, ...]:
    """The instructions of a stretch of code, decoded as they were before any probe was armed.

    Args:
        kprobes: whose code and which probes.
        listing: the kernel's disassembler.
        start: address of an instruction.
        size: in bytes.
        source: source lines by the address they begin at.
    """
    # Few sites are near, and a function has many bytes.
    near = [site.addr for site in kprobes.sites() if site.addr and start - JMP32_SIZE < site.addr < start + size]
    hidden = {at: kprobes.hidden(at) for site in near for at in range(site, site + JMP32_SIZE)}
    try:
        original = recover_code(kprobes.kernel, start, size, hidden.get)
        memory = kprobes.kernel.read(start, size)
    except MemoryFault:
        return ()
    lines = []
    for address, raw, text in listing.decode(original, start):
        offset = address - start
        lines.append(CodeLine(address, memory[offset : offset + len(raw)], raw, text, source.get(address)))
    return tuple(lines)


def _slot_lines(kernel: RunningKernel, listing: Listing, probe: Kprobe) -> tuple[CodeLine, ...]:
    if probe.ainsn is None:
        return ()
    slot, size = probe.ainsn.insn, len(probe.ainsn.copy)
    code = kernel.read(slot, size)
    # Behind the copy stands the int3 or the jump back; what follows that is none of ours.
    found = [*listing.decode(code[: probe.ainsn.size], slot)[:1]]
    found += listing.decode(code[probe.ainsn.size :], slot + probe.ainsn.size)[:1]
    return tuple(CodeLine(address, raw, raw, text, None) for address, raw, text in found if text != BAD)


def _detour_lines(kernel: RunningKernel, listing: Listing, optinsn: OptInsn) -> tuple[CodeLine, ...]:
    code = kernel.read(optinsn.insn, optinsn.end - optinsn.insn)
    found = listing.decode(code, optinsn.insn)
    return tuple(CodeLine(address, raw, raw, text, None) for address, raw, text in found if text != BAD)


def kprobe_view(kprobes: Kprobes, listing: Listing, cpu: int) -> KprobeView:
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
                slot_code=_slot_lines(kprobes.kernel, listing, probe),
                nmissed=probe.nmissed,
                emulated=probe.ainsn is not None and probe.ainsn.emulate_op is not None,
                optimized=site.is_optimized,
                detour=site.optinsn.insn if site.optinsn else 0,
                detour_code=_detour_lines(kprobes.kernel, listing, site.optinsn) if site.optinsn else (),
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
    for address, value in _words(kernel, rsp, count):
        symbol = ""
        if kernel.tables.is_text(value):
            symbol = kernel.kallsyms.symbolize(value)
        words.append(StackWord(address, value, names.get(address, ""), symbol))
    return tuple(words)


def _words(kernel: RunningKernel, start: int, count: int) -> Iterator[tuple[int, int]]:
    """Words with their addresses, page by page, up to where nothing is mapped."""
    end = start + 8 * count
    with contextlib.suppress(MemoryFault):
        while start < end:
            # The last word of a page may reach into the next one.
            many = max(min(PAGE_SIZE - start % PAGE_SIZE, end - start) // 8, 1)
            values = struct.unpack(f"<{many}Q", kernel.read(start, 8 * many))
            yield from zip(range(start, start + 8 * many, 8), values, strict=True)
            start += 8 * many


def pt_regs_below(frame_at: int, *, gap: bool) -> int:
    """Where the entry code puts ``struct pt_regs`` for a frame that the CPU pushed without an error code.

    Args:
        frame_at: address of the frame's lowest word.
        gap: whether the frame is copied first, as for an int3 in the kernel.
    """
    top = frame_at + 8 * len(_FRAME_FIELDS)
    return top - PT_REGS_SIZE - (48 if gap else 0)
