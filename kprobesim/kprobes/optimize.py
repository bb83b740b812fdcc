"""Turning int3 probes into jumps and back: the lists, and the work that is done on them later.

Follows Linux 6.1 kernel/kprobes.c (optimize_kprobe, unoptimize_kprobe, kprobe_optimizer and what is around them) and
arch/x86/kernel/kprobes/opt.c (arch_optimize_kprobes, arch_unoptimize_kprobe).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes.detour import (
    MAX_OPTIMIZED_LENGTH,
    MAX_OPTINSN_SIZE,
    OptInsn,
    make_detour,
)
from kprobesim.kprobes.kprobe import INT3, Kprobe, KprobeFlag
from kprobesim.kprobes.optinsn import CannotOptimize, can_optimize, copy_optimized_instructions
from kprobesim.kprobes.quiescence import Span, anybody_inside
from kprobesim.kprobes.reljump import JMP32_SIZE, relative_jump
from kprobesim.kprobes.slots import InsnSlots

if TYPE_CHECKING:
    from kprobesim.kprobes.core import Kprobes

__all__ = ["JIFFY_NS", "OPTIMIZE_DELAY", "Optimizer"]

OPTIMIZE_DELAY: Final = 5
"""Jiffies from the wish to the work."""
JIFFY_NS: Final = 4_000_000
"""A tick, with HZ at 250."""


class Optimizer:
    """The optimized probes of one kernel, those on the way there and those on the way back.

    Args:
        kprobes: the table of probes.

    Attributes:
        allowed: ``kprobes_allow_optimization``, the sysctl debug.kprobes-optimization.
        by_detour: the probe of each detour buffer; also of one whose probe is gone while somebody may still be in it.
    """

    def __init__(self, kprobes: Kprobes) -> None:
        self._kprobes = kprobes
        self._kernel = kprobes.kernel
        self._machine = kprobes.kernel.machine
        self._callback = kprobes.kernel.symbol("optimized_callback")
        self.allowed = kprobes.config.optimization
        self.by_detour: dict[int, Kprobe] = {}
        self.slots = InsnSlots(kprobes.kernel.modules, "kprobe_optinsn_page", MAX_OPTINSN_SIZE)
        self._optimizing: list[Kprobe] = []
        self._unoptimizing: list[Kprobe] = []
        self._freeing: list[Kprobe] = []
        self._dropped: list[Kprobe] = []  # off the table, until nobody is in their detour buffers
        self._garbage: tuple[OptInsn, ...] = ()
        self._kicked = False

    # What others ask

    def is_queued(self, op: Kprobe) -> bool:
        """It is on one of the lists (``!list_empty(&op->list)``)."""
        return op in self._optimizing or op in self._unoptimizing or op in self._freeing

    def is_disarmed(self, site: Kprobe) -> bool:
        """``kprobe_disarmed``: disabled, and no jump that only waits to be taken away."""
        return site.is_disabled and not self.is_queued(site)

    def hidden(self, address: int) -> int | None:
        """The kernel's own byte at an address that a jump covers, its first byte excepted (OPT-14)."""
        for back in range(1, JMP32_SIZE):
            op = self._kprobes.get_kprobe(address - back)
            if op is not None and op.is_optimized and op not in self._optimizing:
                assert op.optinsn is not None
                return op.optinsn.copied[back - 1]
        return None

    def optimized_around(self, address: int) -> Kprobe | None:
        """``get_optimized_kprobe``: the probe whose jump replaces, or would, an instruction that begins here."""
        for back in range(1, MAX_OPTIMIZED_LENGTH):
            op = self._kprobes.get_kprobe(address - back)
            if op is not None and op.optinsn is not None and not self.is_disarmed(op) and back < op.optinsn.size:
                return op
        return None

    # Preparing

    def prepare(self, op: Kprobe) -> bool:
        """Make an aggregator's detour buffer, if its instructions allow it (``arch_prepare_optimized_kprobe``).

        Returns:
            Whether there is one.
        """
        address = op.addr
        assert address is not None
        try:
            can_optimize(self._kernel, address, self._kprobes.hidden)
            insn = self._get_slot()
        except CannotOptimize as reason:
            return self._refuse(op, str(reason))
        except LinuxError as error:
            return self._refuse(op, error.message)
        try:
            copied = copy_optimized_instructions(
                self._kernel, self._kprobes.jump_labels, address, insn, self._kprobes.hidden
            )
        except CannotOptimize as reason:
            self.slots.free(insn)
            return self._refuse(op, str(reason))
        code = make_detour(insn, self._callback, copied, address)
        self._machine.write_code(insn, code)
        op.optinsn = OptInsn(insn, len(copied))
        self.by_detour[insn] = op
        self._emit("kprobe.opt_prepare", op, detour=insn, size=len(copied), code=code)
        return True

    def _refuse(self, op: Kprobe, reason: str) -> bool:
        self._emit("kprobe.opt_refuse", op, reason=reason)
        return False

    def _get_slot(self) -> int:
        """A clean slot; dirty ones are collected only when no page has a clean one left."""
        if self._garbage and self.slots.is_full:
            still = tuple(old for old in self._garbage if anybody_inside(self._kernel, [(old.insn, old.end)]))
            for old in self._garbage:
                if old not in still:
                    self.slots.free(old.insn)
                    self.by_detour.pop(old.insn, None)
            self._garbage = still
        return self.slots.get()

    def free(self, op: Kprobe) -> None:
        """Give up an aggregator's detour buffer (``arch_remove_optimized_kprobe``); its bytes stay for now."""
        if op.optinsn is not None:
            self._garbage = (*self._garbage, op.optinsn)
            self._emit("kprobe.opt_free", op, detour=op.optinsn.insn)
            op.optinsn = None

    # Asking for it

    def optimize(self, op: Kprobe) -> None:
        """``optimize_kprobe``: let a probe become a jump later, unless something is in the way (OPT-04, OPT-05)."""
        if op.optinsn is None or not self.allowed or op.is_disabled or self._kprobes.all_disarmed:
            return
        if op.post_handler is not None or self._is_occupied(op):
            return
        if op.is_optimized:
            if op in self._unoptimizing:
                self._unoptimizing.remove(op)
            return
        if self.is_queued(op):
            return
        # From here on a hit goes from the int3 straight to the copied instructions, and the list of probes says
        # [OPTIMIZED], though the jump is written only later.
        op.flags |= KprobeFlag.OPTIMIZED
        self._optimizing.insert(0, op)
        self._kick()
        self._emit("kprobe.opt_queue", op, detour=op.optinsn.insn)

    def _is_occupied(self, op: Kprobe) -> bool:
        """``arch_check_optimized_kprobe``: another armed probe is in the instructions that the jump would replace."""
        assert op.addr is not None and op.optinsn is not None
        inside = (self._kprobes.get_kprobe(op.addr + offset) for offset in range(1, op.optinsn.size))
        return any(other is not None and not self.is_disarmed(other) for other in inside)

    def unoptimize(self, op: Kprobe, *, force: bool) -> None:
        """``unoptimize_kprobe``: let a jump become an int3 again later, or with ``force`` now (OPT-12, OPT-13)."""
        if op.children is None or self.is_disarmed(op) or not op.is_optimized:
            return
        if op in self._optimizing:
            self._optimizing.remove(op)
            op.flags &= ~KprobeFlag.OPTIMIZED
            self._emit("kprobe.opt_dequeue", op)
        elif op in self._unoptimizing:
            if force:
                self._force(op)
                self._unoptimizing.remove(op)
                self._freeing.insert(0, op)
        elif force:
            self._force(op)
        else:
            self._unoptimizing.insert(0, op)
            self._kick()
            self._emit("kprobe.unopt_queue", op)

    def _force(self, op: Kprobe) -> None:
        self._write_int3(op)
        op.flags &= ~KprobeFlag.OPTIMIZED

    def rescue(self, op: Kprobe) -> None:
        """``reuse_unused_kprobe``: a probe comes to a place whose last one has left, before the jump was taken away."""
        op.flags &= ~KprobeFlag.DISABLED
        self.optimize(op)

    # The sysctl

    def allow(self, allowed: bool) -> None:
        """Set the sysctl debug.kprobes-optimization; switched off, it leaves no jump behind (OPT-15)."""
        if allowed == self.allowed:
            return
        self.allowed = allowed
        for site in self._kprobes.sites():
            if not site.is_disabled:
                if allowed:
                    self.optimize(site)
                else:
                    self.unoptimize(site, force=False)
        if not allowed:
            self.wait()

    def wait(self) -> None:
        """``wait_for_kprobe_optimizer``: what is to be an int3 is one now. The rest of the work comes when it may."""
        self._kprobes.text.finish()
        if self._unoptimizing:
            self._machine.cancel(self._kprobe_optimizer)
            self._kicked = False
            self._kprobe_optimizer()

    # The work

    def _kick(self) -> None:
        """``kick_kprobe_optimizer``; work that waits already is not put off."""
        if not self._kicked:
            self._kicked = True
            self._machine.schedule((self._machine.ns // JIFFY_NS + OPTIMIZE_DELAY) * JIFFY_NS, self._kprobe_optimizer)

    def _kprobe_optimizer(self) -> None:
        """First take jumps away, then wait until nobody is in the way, then make jumps and free (OPT-07)."""
        self._kicked = False
        self._machine.emit("kprobe.optimizer", optimizing=len(self._optimizing), unoptimizing=len(self._unoptimizing))
        self._do_unoptimize_kprobes()
        self._machine.cancel(self._synchronize_rcu_tasks)
        self._synchronize_rcu_tasks()

    def _do_unoptimize_kprobes(self) -> None:
        for op in self._unoptimizing:
            self._write_int3(op)
        self._freeing = [*reversed(self._unoptimizing), *self._freeing]
        self._unoptimizing = []
        for op in self._freeing:
            op.flags &= ~KprobeFlag.OPTIMIZED
            if op.is_disabled and not op.flags & KprobeFlag.GONE:
                self._kprobes.arming.disarm_now(op)
            if not op.children:
                self._kprobes.drop(op)
                self._dropped.append(op)
        self._freeing = []

    def _synchronize_rcu_tasks(self) -> None:
        """Go on when nobody can come back into bytes that will change, or into a detour buffer that will be freed."""
        if self._anybody_in_the_way():
            self._machine.schedule((self._machine.ns // JIFFY_NS + 1) * JIFFY_NS, self._synchronize_rcu_tasks)
            return
        self._do_optimize_kprobes()
        dropped, self._dropped = self._dropped, []
        for op in dropped:
            self._kprobes.free_aggr_kprobe(op)
        if self._optimizing or self._unoptimizing:
            self._kick()

    def _anybody_in_the_way(self) -> bool:
        spans: list[Span] = []
        stepped = {
            probe.addr for block in self._kprobes.ctlblk for probe in (block.current, block.previous[0]) if probe
        }
        for op in self._optimizing:
            assert op.addr is not None
            if op.addr in stepped:
                return True
            spans.append((op.addr + 1, op.addr + JMP32_SIZE))
        spans += [(op.optinsn.insn, op.optinsn.end) for op in self._dropped if op.optinsn is not None]
        return anybody_inside(self._kernel, spans)

    def _do_optimize_kprobes(self) -> None:
        """``arch_optimize_kprobes``: each int3 becomes a jump, in three stages (OPT-08)."""
        if self._kprobes.all_disarmed or not self.allowed:
            return
        optimizing, self._optimizing = self._optimizing, []
        for op in optimizing:
            assert op.addr is not None and op.optinsn is not None
            copied = self._kernel.read(op.addr + 1, JMP32_SIZE - 1)
            op.optinsn = op.optinsn._replace(copied=copied)
            jump = relative_jump(op.addr, op.optinsn.insn)
            self._kprobes.text.text_poke_bp(op.addr, jump, done=self._optimized)

    def _optimized(self, address: int) -> None:
        """The last stage of a jump is written."""
        op = self._kprobes.get_kprobe(address)
        assert op is not None and op.optinsn is not None
        self._emit("kprobe.optimize", op, detour=op.optinsn.insn)

    def _write_int3(self, op: Kprobe) -> None:
        """``arch_unoptimize_kprobe``: int3 over the jump's first byte, sync, then the other four (TXT-07)."""
        assert op.addr is not None and op.optinsn is not None
        self._kprobes.text.text_poke(op.addr, bytes([INT3]))
        self._kprobes.text.text_poke(op.addr + 1, op.optinsn.copied)
        self._emit("kprobe.unoptimize", op)

    def _emit(self, kind: str, op: Kprobe, **fields: Any) -> None:
        # An aggregator has no name of its own: its latest probe's is told.
        named = op.children[0] if op.children else op
        self._machine.emit(kind, **self._kprobes.place(named), **fields)

    # Going back and forth in time

    def save(self) -> object:
        """All state that is neither in guest memory nor in the probes."""
        lists = tuple(self._optimizing), tuple(self._unoptimizing), tuple(self._freeing), tuple(self._dropped)
        return self.allowed, dict(self.by_detour), self.slots.save(), *lists, self._garbage, self._kicked

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self.allowed, by_detour, slots, optimizing, unoptimizing, freeing, dropped, self._garbage, self._kicked = state
        self.by_detour = dict(by_detour)
        self.slots.restore(slots)
        self._optimizing, self._unoptimizing = list(optimizing), list(unoptimizing)
        self._freeing, self._dropped = list(freeing), list(dropped)
