"""One Unicorn engine, reduced to what a vCPU needs.

The hooks are raw C callbacks: the binding's own wrappers cost more than the work done in them. An exception raised in
one is kept, the engine is stopped, and `Engine.run` raises it again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from unicorn import (
    UC_ARCH_X86,
    UC_ERR_OK,
    UC_HOOK_CODE,
    UC_HOOK_INSN,
    UC_HOOK_INSN_INVALID,
    UC_HOOK_INTR,
    UC_HOOK_MEM_WRITE,
    UC_MODE_64,
    UC_PROT_ALL,
    Uc,
    UcError,
)
from unicorn import x86_const as x86
from unicorn.unicorn_py3.unicorn import uclib

from kprobesim.machine.calibration import SEGMENT_ATTRIBUTES, calibrate
from kprobesim.machine.memory import PhysicalMemory
from kprobesim.machine.registers import RegisterSet

_ARITHMETIC_FLAGS: Final = 0x8D5  # OF, SF, ZF, AF, PF, CF

__all__ = ["Context", "Engine", "EngineEvents"]

# What changes in the engine's own flags with the privilege level: CPL, the shadow of `mov ss`, code and stack width.
_LEVEL_FLAGS: Final = 0x807B

_INTR = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
_OUT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p)
_IN = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_void_p)
_PLAIN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_INVALID = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)
_CODE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_MEMORY = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
)

Context = Any  # the binding's UcContext: an opaque copy of all CPU state


class EngineEvents(Protocol):
    """What an engine tells its vCPU; called in the middle of a run."""

    def interrupt(self, vector: int) -> None:
        """An exception or ``int n`` happened; deliver it by writing registers and memory."""

    def syscall(self) -> None:
        """A ``syscall`` instruction was executed; RIP is past it."""

    def port_out(self, port: int, size: int, value: int) -> None:
        """``out`` was executed."""

    def port_in(self, port: int, size: int) -> int:
        """``in`` was executed; the answer goes to the accumulator."""
        ...


class Engine:
    """An x86-64 CPU over shared RAM.

    Args:
        ram: mapped at physical address 0; shared between engines.
        events: who is told of interrupts, system calls and port accesses.
        counting_hook: count instructions with a hook although the engine's own counter was found (for tests).

    Attributes:
        waiting: the last run ended in ``hlt``.
        reached: the last run ended before the instruction that is watched for.
        counter: instructions of the run under way, the current one included, as long as nobody stops it.
        stopped_at: what the counter said when the run was stopped, which still counts; 0: it was not.
    """

    def __init__(self, ram: PhysicalMemory, events: EngineEvents, *, counting_hook: bool = False) -> None:
        self._uc = Uc(UC_ARCH_X86, UC_MODE_64)
        self.handle = self._uc._uch
        self._uc.mem_map_ptr(0, ram.size, UC_PROT_ALL, ram.host_address)
        # Runs end by count, never by address. With an address the engine would look for the code there before each run,
        # and the page fault of that look-up would turn the guest's next one into a double fault.
        self._uc.ctl_exits_enabled(True)
        self._events = events
        self._failure: BaseException | None = None
        self._limit = 0
        self.stopped_at = 0
        self.waiting = False
        self.reached = False
        self._watch: ctypes.c_size_t | None = None
        self._at_watch = _CODE(self._reach)
        self._callbacks: list[Any] = []
        self._rip = RegisterSet(self.handle, ("rip",))
        self._scratch = self._uc.context_save()
        calibration = self._calibration = calibrate()
        if calibration.counter is None or counting_hook:
            self.counter = ctypes.c_uint64(0)
            self._hook(UC_HOOK_CODE, _CODE(self._count_one))
            self._counts_by_hook = True
        else:
            self.counter = ctypes.c_uint64.from_address(self.handle.value + calibration.counter)
            self._counts_by_hook = False
        self._hook(UC_HOOK_INTR, _INTR(self._interrupt))
        self._hook(UC_HOOK_INSN_INVALID, _INVALID(self._invalid_instruction))
        self._hook(UC_HOOK_INSN, _PLAIN(self._syscall), x86.UC_X86_INS_SYSCALL)
        self._hook(
            UC_HOOK_INSN,
            _OUT(self._port_out),
            x86.UC_X86_INS_OUT,
        )
        self._hook(UC_HOOK_INSN, _IN(self._port_in), x86.UC_X86_INS_IN)

    def run(self, count: int) -> int:
        """Execute at most ``count`` instructions from the current RIP.

        Returns:
            How many were retired; an instruction that trapped counts.

        Raises:
            UcError: the engine gave up (an access outside RAM, for example).
            Anything that a callback raised.
        """
        self._rip.read()
        self._limit, self.stopped_at, self.reached = count, 0, False
        if self._counts_by_hook:
            self.counter.value = 0
        limit = 0 if self._counts_by_hook else count
        status = uclib.uc_emu_start(self.handle, self._rip.words[0], 0, 0, limit)
        # At its limit, and when it is stopped in the middle of a block, the engine has counted one instruction more
        # than it ran: the one that it then refused.
        counted = self.stopped_at or self.counter.value
        self.waiting = counted <= count and not self.stopped_at
        if self.reached:
            counted -= 1
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if status != UC_ERR_OK:
            raise UcError(status)
        return min(counted, count)

    @property
    def executed(self) -> int:
        """Instructions of the run under way, the current one included."""
        return self.stopped_at or self.counter.value

    def take_error_code(self) -> int | None:
        """The error code of the exception being delivered, which counts as delivered from now on.

        Without the second half the engine would make a double fault of the next page fault. The flags are mended too:
        see `LazyFlags`.

        Returns:
            The code, 0 for exceptions without one; None if it is no exception but an ``int n`` of that number.
        """
        scratch = self._scratch
        self._uc.context_update(scratch)
        base = scratch.context.value
        code: int = ctypes.c_uint32.from_address(base + self._calibration.error_code).value
        before = ctypes.c_int32.from_address(base + self._calibration.old_exception)
        if before.value == -1:
            return None
        before.value = -1
        flags = self._calibration.flags
        source: int = ctypes.c_uint64.from_address(base + flags.source).value
        if source == ctypes.c_uint64.from_address(base + flags.rflags).value & _ARITHMETIC_FLAGS:
            ctypes.c_uint32.from_address(base + flags.way).value = flags.computed
        self._uc.context_restore(scratch)
        return code

    def rise(self, cs: int, ss: int) -> None:
        """Go to ring 0 with these segment selectors; nothing else changes.

        Writing CS through the engine's API changes the selector and not the privilege level, so it is done on a copy
        of the state.
        """
        scratch, places = self._scratch, self._calibration.privilege
        self._uc.context_update(scratch)
        base = scratch.context.value
        flags = ctypes.c_uint32.from_address(base + places.flags)
        flags.value = flags.value & ~_LEVEL_FLAGS | places.ring0_flags & _LEVEL_FLAGS
        for selector, place, attributes in ((cs, places.cs, places.ring0_cs), (ss, places.ss, places.ring0_ss)):
            ctypes.c_uint32.from_address(base + place).value = selector & 0xFFFC
            ctypes.c_uint32.from_address(base + place + SEGMENT_ATTRIBUTES).value = attributes
        self._uc.context_restore(scratch)

    def count_fetch(self) -> bool:
        """Count an instruction that could not be fetched, which the engine itself does not.

        Returns:
            False if the run is at its limit: it ends, and the next one will meet the same instruction.
        """
        if self.counter.value >= self._limit:
            self.stop()
            return False
        self.counter.value += 1
        return True

    def stop(self) -> None:
        """End the run under way after the current instruction."""
        self.stopped_at = self.counter.value
        uclib.uc_emu_stop(self.handle)

    def watch(self, address: int | None) -> None:
        """End runs before the instruction at a virtual address; None ends the watch. Translated code is forgotten."""
        if self._watch is not None:
            uclib.uc_hook_del(self.handle, self._watch)
            self._watch = None
        if address is not None:
            self._watch = self._add_hook(UC_HOOK_CODE, self._at_watch, address, address)
        self.flush_code()

    @contextmanager
    def noting_writes(self, first: int, last: int, written: Callable[[int, int], None]) -> Iterator[None]:
        """While code runs: be told of each write of an instruction that begins between two physical addresses.

        All memory accesses get slower meanwhile.

        Args:
            first, last: the addresses; the latter is included.
            written: called in the middle of the run with the write's first address and its size; must not raise.
        """
        callback = _MEMORY(lambda _, __, address, size, ___, ____: written(address, size))
        # The engine compares physical addresses, and tells them too, as its bounds are checked behind the TLB.
        hook = self._add_hook(UC_HOOK_MEM_WRITE, callback, first, last)
        self.flush_code()
        try:
            yield
        finally:
            uclib.uc_hook_del(self.handle, hook)
            self.flush_code()

    def read_register(self, register: int) -> Any:
        """One register, slowly; ``register`` is a constant of ``unicorn.x86_const``."""
        return self._uc.reg_read(register)

    def write_register(self, register: int, value: Any) -> None:
        """Write one register, slowly."""
        self._uc.reg_write(register, value)

    def save_context(self) -> Context:
        """A copy of all CPU state, RAM not included."""
        return self._uc.context_save()

    def restore_context(self, context: Context) -> None:
        """Put a copy back, current privilege level included."""
        self._uc.context_restore(context)

    def flush_code(self) -> None:
        """Forget all translated code: memory that holds code has changed behind the engine's back."""
        self._uc.ctl_flush_tb()

    def forget_code(self, virtual: int, size: int) -> None:
        """The same for a few bytes of the address space that the CPU is in, which is much cheaper than all."""
        self._uc.ctl_remove_cache(virtual, virtual + size)

    def flush_tlb(self) -> None:
        """Forget all address translations: page tables have changed behind the engine's back."""
        self._uc.reg_write(x86.UC_X86_REG_CR3, self._uc.reg_read(x86.UC_X86_REG_CR3))

    def _hook(self, kind: int, callback: Any, *extra: int) -> None:
        self._add_hook(kind, callback, 1, 0, *extra)
        self._callbacks.append(callback)

    def _add_hook(self, kind: int, callback: Any, begin: int, end: int, *extra: int) -> ctypes.c_size_t:
        """Add a hook for code from ``begin`` to ``end``, the latter included; begin above end means everywhere."""
        handle = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            self.handle,
            ctypes.byref(handle),
            kind,
            callback,
            None,
            ctypes.c_uint64(begin),
            ctypes.c_uint64(end),
            *(ctypes.c_int(value) for value in extra),
        )
        if status != UC_ERR_OK:
            raise UcError(status)
        return handle

    # The callbacks. Nothing may be raised out of them: the engine would not notice.

    def _interrupt(self, _: Any, vector: int, __: Any) -> None:
        try:
            self._events.interrupt(vector)
        except BaseException as failure:
            self._fail(failure)

    def _syscall(self, *_: Any) -> None:
        try:
            self._events.syscall()
        except BaseException as failure:
            self._fail(failure)

    def _port_out(self, _: Any, port: int, size: int, value: int, __: Any) -> None:
        try:
            self._events.port_out(port, size, value)
        except BaseException as failure:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure
        self.stop()

    def _count_one(self, *_: Any) -> None:
        self.counter.value += 1
        if self.counter.value > self._limit:
            uclib.uc_emu_stop(self.handle)

    def _reach(self, *_: Any) -> None:
        if not self.stopped_at:
            self.reached = True
            self.stop()

    def _invalid_instruction(self, *_: Any) -> bool:
        try:
            self._events.interrupt(6)
        except BaseException as failure:
            self._fail(failure)
        return True

    def _port_in(self, _: Any, port: int, size: int, __: Any) -> int:
        try:
            return self._events.port_in(port, size)
        except BaseException as failure:
            self._fail(failure)
            return 0
