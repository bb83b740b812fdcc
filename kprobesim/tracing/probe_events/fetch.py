"""Fetching arguments on a hit: Linux kernel/trace/trace_probe_tmpl.h and trace_probe_kernel.h.

The stages are Linux's: load a value, dereference it, store it, cut a bitfield out of it, go on with the next element.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.machine import MemoryFault, PhysicalMemory
from kprobesim.tracing.probe_events.fetch_parse import FetchInsn, Op, ProbeArg

__all__ = ["ArgFetcher", "Hit", "Load", "store_trace_args"]

_TASK_SIZE: Final = 0x7FFF_FFFF_F000
_MASK64: Final = (1 << 64) - 1
_MAX_STRING_SIZE: Final = 4096
_THREAD_SIZE: Final = 0x4000
_ARGUMENT_REGISTERS: Final = ("di", "si", "dx", "cx", "r8", "r9")
_LOC: Final = struct.Struct("<I")

Load = Callable[[Any], "int | bytes"]


class Hit(Protocol):
    """What a hit leaves to be read: the registers of a probe, or another event's record."""

    @property
    def ram(self) -> PhysicalMemory:
        """Guest memory."""

    @property
    def root(self) -> int:
        """CR3 to translate with."""


def _read(regs: Hit, address: int, size: int, *, user: bool) -> bytes:
    """Memory at an address of the kernel's, or of the current task's for a low one or with ``user``.

    Raises:
        MemoryFault: not mapped, or a kernel address where a user's is asked for.
    """
    address &= _MASK64
    if user and address + size > _TASK_SIZE:
        raise MemoryFault(address)
    return regs.ram.read_virtual(regs.root, address, size)


def _read_string(regs: Hit, address: int, *, user: bool) -> bytes | None:
    """A text with its NUL, cut at 4096 bytes; None where it cannot be read."""
    address &= _MASK64
    text = b""
    while len(text) < _MAX_STRING_SIZE:
        room = min(4096 - (address & 4095), _MAX_STRING_SIZE - len(text))
        try:
            piece = _read(regs, address, room, user=user)
        except MemoryFault:
            return None
        end = piece.find(b"\0")
        if end >= 0:
            return text + piece[: end + 1]
        text, address = text + piece, address + room
    return text[:-1] + b"\0"


def _stack_word(regs: PtRegs, number: int) -> int:
    """``regs_get_kernel_stack_nth``: 0 outside the stack that RSP is in (GRM-05)."""
    address = regs.sp + 8 * number
    if address & -_THREAD_SIZE != regs.sp & -_THREAD_SIZE:
        return 0
    try:
        return int.from_bytes(_read(regs, address, 8, user=False), "little")
    except MemoryFault:
        return 0


def _user_stack_word(regs: PtRegs, number: int) -> int:
    """``get_user_stack_nth``: 0 where the program has no memory."""
    try:
        return int.from_bytes(_read(regs, regs.sp + 8 * number, 8, user=True), "little")
    except MemoryFault:
        return 0


def _loader(insn: FetchInsn, kernel: RunningKernel, user_base: Callable[[], int] | None) -> Load:
    """The first stage as a function."""
    param, text = insn.param, insn.text
    if user_base is not None and insn.op is Op.STACK:
        return lambda regs: _user_stack_word(regs, param)
    if user_base is not None and insn.op is Op.FOFFS:
        return lambda regs: user_base() + param & _MASK64
    if insn.op is Op.REG:
        return lambda regs: int(getattr(regs, text))
    if insn.op is Op.STACK:
        return lambda regs: _stack_word(regs, param)
    if insn.op is Op.STACKP:
        return lambda regs: regs.sp
    if insn.op is Op.RETVAL:
        return lambda regs: regs.ax
    if insn.op is Op.ARG and param < len(_ARGUMENT_REGISTERS):
        register = _ARGUMENT_REGISTERS[param]
        return lambda regs: int(getattr(regs, register))
    if insn.op is Op.ARG:
        return lambda regs: _stack_word(regs, param - len(_ARGUMENT_REGISTERS) + 1)
    if insn.op is Op.COMM:
        return lambda regs: kernel.current(regs.cpu).comm.split(b"\0")[0] + b"\0"
    if insn.op is Op.DATA:
        data = text.encode("latin-1") + b"\0"
        return lambda regs: data
    return lambda regs: param


class ArgFetcher:
    """How one argument is fetched; made once, when its probe is registered.

    Args:
        arg: the argument.
        kernel: whose memory and symbols.
        user_base: for a uprobe: where the file's first byte would be in the process. All memory is the program's then.
        load: the first stage, where that is not one of a probe's.
    """

    def __init__(
        self,
        arg: ProbeArg,
        kernel: RunningKernel,
        user_base: Callable[[], int] | None = None,
        load: Load | None = None,
    ) -> None:
        self.arg = arg
        self._kernel = kernel
        code = [insn for insn in arg.code if insn.op is not Op.SYMBOL]
        self._load = load or _loader(code[0], kernel, user_base)
        self._in_program = user_base is not None
        self._derefs = [
            (insn.op is Op.UDEREF or self._in_program, insn.param) for insn in code if insn.op in (Op.DEREF, Op.UDEREF)
        ]
        self._store = next(insn for insn in code if insn.op.name.startswith("ST_"))
        self._bitfield = next((insn for insn in code if insn.op is Op.MOD_BF), None)
        self.dynamic = self._store.op in (Op.ST_STRING, Op.ST_USTRING, Op.ST_SYMSTR)

    def _value(self, regs: Hit) -> tuple[int, bytes | int]:
        """Where the last dereferenced word was, and the value after all dereferences."""
        value, at = self._load(regs), 0
        for user, offset in self._derefs:
            assert isinstance(value, int)
            at = value
            value = int.from_bytes(_read(regs, value + offset, 8, user=user), "little")
        return at, value

    def store(self, regs: Hit, record: bytearray, at: int) -> None:
        """Put a number, or an array of numbers, into the record; one that faults leaves what is there (FET-03).

        Args:
            regs: of the hit.
            record: the whole record.
            at: where the field is in it.
        """
        try:
            _, value = self._value(regs)
        except MemoryFault:
            return
        assert isinstance(value, int)
        size = self._store.size
        for number in range(self.arg.count or 1):
            place = slice(at + number * size, at + (number + 1) * size)
            if self._store.op is Op.ST_RAW:
                record[place] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
            else:
                user = self._in_program or self._store.op is Op.ST_UMEM
                with contextlib.suppress(MemoryFault):
                    record[place] = _read(regs, value + self._store.param + number * size, size, user=user)
            if self._bitfield is not None:
                record[place] = self._cut(bytes(record[place])).to_bytes(size, "little")

    def _cut(self, container: bytes) -> int:
        """``fetch_apply_bitfield`` (FET-05)."""
        assert self._bitfield is not None
        left, right = self._bitfield.shifts
        bits = 8 * len(container)
        return (int.from_bytes(container, "little") << left & (1 << bits) - 1) >> right

    def strings(self, regs: Hit) -> list[bytes | None] | None:
        """The texts of a string or an array of strings, each with its NUL or None where it faults.

        Returns:
            None when already a dereference faults.
        """
        found: list[bytes | None] = []
        try:
            at, value = self._value(regs)
            found.append(self._string(regs, value))
            if self.arg.count > 1 and not self._derefs:
                # An array of an immediate: Linux finds nothing to take the second pointer from, and gives up.
                return None
            for number in range(1, self.arg.count):
                user, offset = self._derefs[-1]
                value = int.from_bytes(_read(regs, at + 8 * number + offset, 8, user=user), "little")
                found.append(self._string(regs, value))
        except MemoryFault:
            return None
        return found

    def _string(self, regs: Hit, value: int | bytes) -> bytes | None:
        if isinstance(value, bytes):
            return value
        if self._store.op is Op.ST_SYMSTR:
            return self._kernel.kallsyms.sprint_symbol(value & _MASK64).encode() + b"\0"
        return _read_string(regs, value + self._store.param, user=self._in_program or self._store.op is Op.ST_USTRING)


def store_trace_args(fetchers: list[ArgFetcher], regs: Hit, head: bytes, size: int, old: bytes = b"") -> bytes:
    """Make a record: head, fixed part, texts (``store_trace_args``).

    Args:
        fetchers: of the arguments, in order.
        regs: of the hit.
        head: what stands before the arguments.
        size: of the fixed part.
        old: what lies in the buffer where the record will go, for numbers that fault.

    Returns:
        The record's bytes.
    """
    texts = [fetcher.strings(regs) if fetcher.dynamic else None for fetcher in fetchers]
    room = sum(len(text) for found in texts for text in found or () if text is not None)
    base = len(head)
    record = bytearray(head) + bytearray(old[base : base + size]).ljust(size, b"\0")
    for fetcher, found in zip(fetchers, texts, strict=True):
        at = base + fetcher.arg.offset
        if not fetcher.dynamic:
            fetcher.store(regs, record, at)
            continue
        if found is None:
            # As in Linux the location keeps the room that is left: the text of the next argument shows here too.
            _LOC.pack_into(record, at, (room & 0xFFFF) << 16 | len(record))
            continue
        for number, text in enumerate(found):
            length = len(text or b"")
            _LOC.pack_into(record, at + 4 * number, length << 16 | len(record))
            record += text or b""
            room -= length
    return bytes(record)
