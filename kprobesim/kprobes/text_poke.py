"""Changing the kernel's code while CPUs run it.

One byte is written in one piece. An instruction of more bytes is replaced in three stages behind an int3, each followed
by a sync of all CPUs; a CPU that meets that int3 is given the new instruction's effect (`PokeInt3`). Follows Linux 6.1
arch/x86/kernel/alternative.c: text_poke, text_poke_bp_batch, text_poke_queue, text_poke_sync.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from kprobesim.kprobes.kernel import RunningKernel
from kprobesim.kprobes.kprobe import INT3
from kprobesim.kprobes.poke_int3 import TextPokeLoc, emulate_new_instruction, text_poke_loc
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.machine import VCpu

__all__ = ["SYNC_NS", "TP_VEC_MAX", "TextPoke"]

SYNC_NS: Final = 10_000
"""How long text_poke_sync() takes at least: an interrupt to every CPU, and their answers."""
TP_VEC_MAX: Final = 256
_STAGES: Final = 3

Done = Callable[[int], None]


class _Patch(NamedTuple):
    """One ``text_poke_bp_batch()``: what is written, whom to tell, and the vCPU that waits for it."""

    locs: tuple[TextPokeLoc, ...]
    done: Done | None
    caller: int | None


class TextPoke:
    """All writes into the text of one kernel.

    Where other vCPUs run, a patch in stages takes time and they go on meanwhile; a vCPU whose hypercall asked for it is
    held until it is done, so it must hold no spinlock meanwhile. `text_poke` and whoever asks by an input do not wait:
    what is under way is done at once.

    Args:
        kernel: whose text.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self._patches: tuple[_Patch, ...] = ()
        self._stage = 0
        self._syncing = False
        self._waiting: tuple[int, ...] = ()
        self._queue: tuple[TextPokeLoc, ...] = ()

    @property
    def busy(self) -> bool:
        """A patch is under way."""
        return bool(self._patches)

    # Writing

    def text_poke(self, address: int, data: bytes) -> None:
        """Write in one piece and make every CPU see it; what is under way is finished before."""
        self.finish()
        self._write(address, data)

    def text_poke_bp(
        self, address: int, opcode: bytes, emulate: bytes | None = None, *, done: Done | None = None
    ) -> None:
        """Replace one instruction by another while CPUs may run it.

        Args:
            address: of its first byte.
            opcode: the new instruction's bytes.
            emulate: what a CPU that meets the int3 is made to do; the new instruction by default.
            done: called with the address when the last stage is over; a method of something that is saved and restored
                with the machine.

        Raises:
            ValueError: an instruction that cannot be emulated, which in Linux is a BUG.
        """
        self._submit((text_poke_loc(address, opcode, emulate),), done)

    def text_poke_queue(self, address: int, opcode: bytes, emulate: bytes | None = None) -> None:
        """Add an instruction to a batch, which goes through each stage as one.

        A full batch is patched, as is one that does not end below this address: Linux's look-up relies on the order.

        Raises:
            ValueError: as `text_poke_bp`.
        """
        loc = text_poke_loc(address, opcode, emulate)
        if len(self._queue) == TP_VEC_MAX or (self._queue and self._queue[-1].address >= address):
            self.text_poke_finish()
        self._queue = (*self._queue, loc)

    def text_poke_finish(self) -> None:
        """Patch what has been queued."""
        queue, self._queue = self._queue, ()
        if queue:
            self._submit(queue, None)

    def finish(self) -> None:
        """Do all stages that are still to come at once."""
        if self._patches:
            self._machine.cancel(self._look)
            if self._syncing:
                self._synced()
            self._go_on(at_once=True)

    # The stages

    def _submit(self, locs: tuple[TextPokeLoc, ...], done: Done | None) -> None:
        caller = self._machine.caller
        self._patches = (*self._patches, _Patch(locs, done, caller.number if caller else None))
        if caller is not None:
            caller.held = True
        if len(self._patches) == 1:
            self._tell_guest(1)
            self._go_on()

    def _go_on(self, *, at_once: bool = False) -> None:
        """Play stages until one has to be waited for."""
        while self._patches:
            if self._stage == _STAGES:
                self._complete()
                continue
            written = self._play_stage()
            self._stage += 1
            if not written:
                continue
            self._syncing = True
            others = self._others()
            if not at_once and any(cpu.runnable for cpu in others):
                self._waiting = tuple(cpu.number for cpu in others)
                self._machine.schedule(self._machine.ns + SYNC_NS, self._look)
                return
            self._synced()
        self._tell_guest(0)

    def _play_stage(self) -> bool:
        """Write one stage; whether there was anything to write."""
        written = False
        for loc in self._patches[0].locs:
            pieces = (
                (loc.address, bytes([INT3])),
                (loc.address + 1, loc.text[1:]),
                (loc.address, loc.text[:1].strip(bytes([INT3]))),
            )
            at, data = pieces[self._stage]
            if data:
                self._write(at, data, self._stage + 1)
                written = True
        return written

    def _others(self) -> list[VCpu]:
        """The CPUs that go on meanwhile. Whoever asks from outside of the machine takes up one of several CPUs."""
        online = [cpu for cpu in self._machine.cpus if cpu.online]
        caller = self._patches[0].caller
        if caller is None:
            return online if len(online) > 1 else []
        return [cpu for cpu in online if cpu.number != caller]

    def _look(self) -> None:
        """Whoever has interrupts on has taken the one that asks for a sync; the others are waited for."""
        cpus = self._machine.cpus
        self._waiting = tuple(
            number for number in self._waiting if not (cpus[number].halted or cpus[number].interrupts_enabled())
        )
        if self._waiting:
            self._machine.schedule(self._machine.ns + SYNC_NS, self._look)
        else:
            self._synced()
            self._go_on()

    def _synced(self) -> None:
        """Every CPU has seen the stage."""
        self._syncing, self._waiting = False, ()
        self._machine.emit("text.sync", addr=self._patches[0].locs[0].address, stage=self._stage)

    def _complete(self) -> None:
        patch, self._patches, self._stage = self._patches[0], self._patches[1:], 0
        if patch.caller is not None and all(other.caller != patch.caller for other in self._patches):
            self._machine.cpus[patch.caller].held = False
        if patch.done is not None:
            patch.done(patch.locs[0].address)

    def _write(self, address: int, data: bytes, stage: int = 0) -> None:
        if self._kernel.read(address, len(data)) == data and not stage:
            return
        place = self._kernel.kallsyms.lookup_size_offset(address)
        symbol, offset = (place[0].name, place[1]) if place else ("", 0)
        self._machine.text_poke(address, data, symbol=symbol, offset=offset, stage=stage)

    def _tell_guest(self, patching: int) -> None:
        """``exc_int3`` asks for `poke_int3_handler` only while this variable is set."""
        if self._kernel.has_symbol("bp_patching_in_progress"):
            self._kernel.write(self._kernel.symbol("bp_patching_in_progress"), patching.to_bytes(4, "little"))

    # The CPU that meets the int3

    def poke_int3_handler(self, cpu: VCpu, address: int, _: int, __: int) -> int:
        """Give a CPU that met the int3 of a patch the new instruction's effect (TXT-06).

        Args:
            cpu: the vCPU.
            address: of the guest's ``struct pt_regs``.

        Returns:
            1 if it was such an int3, 0 if somebody else must claim it.
        """
        if not self._patches:
            return 0
        regs = PtRegs(self._machine.ram, cpu.root, address, cpu.number)
        ip, cs, _flags = regs.interrupted()
        loc = next((loc for loc in self._patches[0].locs if loc.address == ip - 1), None)
        if cs & 3 == 3 or loc is None or not emulate_new_instruction(loc, regs):
            return 0
        self._machine.emit("text.emulate", addr=loc.address, new=loc.emulate, ip=regs.ip, stage=self._stage)
        return 1

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return self._patches, self._stage, self._syncing, self._waiting, self._queue

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._patches, self._stage, self._syncing, self._waiting, self._queue = state
