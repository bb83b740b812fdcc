"""Registering, enabling and removing probes.

Follows Linux 6.1 kernel/kprobes.c and arch/x86/kernel/kprobes/core.c. The order of the checks in `register_kprobe` is
Linux's, as it decides which errno one sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kprobesim.errors import LinuxError
from kprobesim.image import MAX_INSN_SIZE
from kprobesim.kprobes.aggregate import aggr_post_handler, aggr_pre_handler
from kprobesim.kprobes.arming import Arming
from kprobesim.kprobes.blacklist import Blacklist
from kprobesim.kprobes.config import KprobeConfig
from kprobesim.kprobes.ftrace import Ftrace
from kprobesim.kprobes.jump_label import JumpLabels
from kprobesim.kprobes.kernel import RunningKernel
from kprobesim.kprobes.kprobe import NOP5, Kprobe, KprobeCtlblk, KprobeFlag
from kprobesim.kprobes.kprobe_ftrace import KprobeFtrace
from kprobesim.kprobes.optimize import Optimizer
from kprobesim.kprobes.places import ProbePlaces
from kprobesim.kprobes.prepare import can_probe, copy_instruction
from kprobesim.kprobes.quiescence import anybody_inside
from kprobesim.kprobes.slots import InsnSlots
from kprobesim.kprobes.text_poke import TextPoke
from kprobesim.linux_errno import Errno

__all__ = ["Kprobes"]


class Kprobes:
    """The table of probes of one kernel, and the per-CPU state of handling them.

    Args:
        kernel: the running kernel.
        config: how it is taken to be built.

    Attributes:
        blacklist: where no probe is accepted.
        text: all writes into the kernel's code.
        optimizer: makes probes into jumps; None where the kernel cannot.
        jump_labels: the kernel's static branches, where none is accepted either.
        slots: the instruction slots.
        ctlblk: ``kprobe_ctlblk`` by CPU number.
        ftrace: who has hooked which function's entry.
        arming: puts sites into the kernel's code and takes them away.
        all_disarmed: the global switch: probes are registered but none is armed.
    """

    def __init__(self, kernel: RunningKernel, config: KprobeConfig | None = None) -> None:
        self.kernel = kernel
        self.config = config or KprobeConfig()
        self.blacklist = Blacklist(kernel)
        self.slots = InsnSlots(kernel.modules, anybody_in=self._anybody_in_slot)
        self.text = TextPoke(kernel)
        self.jump_labels = JumpLabels(kernel, self.text)
        self._where = ProbePlaces(kernel, self.blacklist, self.jump_labels, by_ftrace=self.config.ftrace)
        self.ctlblk = [KprobeCtlblk() for _ in kernel.machine.cpus]
        self.ftrace = Ftrace(kernel, self.text)
        self.on_ftrace = KprobeFtrace(self)
        self.all_disarmed = False
        self._table: dict[int, Kprobe] = {}
        self._ever: dict[int, Kprobe] = {}
        self._places: dict[tuple[int | None, str], dict[str, Any]] = {}
        self._lingering: frozenset[int] = frozenset()
        can_optimize = self.config.optprobes and kernel.has_symbol("optimized_callback")
        self.optimizer = Optimizer(self) if can_optimize else None
        self.arming = Arming(self.text, self.on_ftrace, self.optimizer)

    # Looking

    def get_kprobe(self, address: int) -> Kprobe | None:
        """The probe at an address, or the aggregator if there are several."""
        return self._table.get(address)

    def __iter__(self) -> Iterator[Kprobe]:
        """All registered probes, those behind aggregators included."""
        for probe in self._table.values():
            yield from probe.children if probe.children is not None else (probe,)

    def sites(self) -> tuple[Kprobe, ...]:
        """The table itself: a probe or an aggregator for each probed address, in order of registration."""
        return tuple(self._table.values())

    def hidden(self, address: int) -> int | None:
        """The kernel's own byte at an address where a probe is, or whose jump covers it."""
        probe = self._table.get(address)
        if probe is not None:
            return probe.opcode
        return None if self.optimizer is None else self.optimizer.hidden(address)

    def is_armed(self, probe: Kprobe) -> bool:
        """Whether the probe's int3 or its jump is in guest memory now, or its function's entry calls ftrace for it."""
        if probe.flags & KprobeFlag.FTRACE:
            return self.on_ftrace.is_armed(probe)
        return probe.addr is not None and self.kernel.read(probe.addr, 1)[0] != probe.opcode

    def place(self, probe: Kprobe) -> dict[str, Any]:
        """The fields that say in an event which probe it is about; not to be changed."""
        key = probe.addr, probe.name
        fields = self._places.get(key)
        if fields is None:
            assert probe.addr is not None
            found = self.kernel.kallsyms.lookup_size_offset(probe.addr)
            symbol, offset = (found[0].name, found[1]) if found else ("", 0)
            name = probe.name or f"{symbol}+{offset:#x}"
            fields = self._places[key] = {"addr": probe.addr, "symbol": symbol, "offset": offset, "probe": name}
        return fields

    # Registering

    def register_kprobe(self, probe: Kprobe) -> None:
        """Register a probe and, unless it or all are disabled, arm it.

        Raises:
            LinuxError: EINVAL, bad place (REG-01, REG-06, REG-07, REG-15) or registered already (REG-03); ENOENT, no
                such symbol; EILSEQ, not an instruction boundary (REG-13); EOPNOTSUPP, an instruction that can be
                neither stepped nor emulated (REG-17); ENOSPC, no room behind the copy (REG-18); ENOMEM, no slot.
        """
        address = self._where.kprobe_addr(probe)
        if probe.addr is not None:
            raise LinuxError(Errno.EINVAL, "This probe is registered already.")
        probe.flags = KprobeFlag.DISABLED if probe.disabled else KprobeFlag(0)
        probe.nmissed = 0
        if self.ftrace.ftrace_location(address) == address:
            probe.flags |= self._where.check_ftrace_location(address)
        self._where.check_address_safe(address)
        place = self.kernel.kallsyms.lookup_size_offset(address)
        if place is not None and place[1] == 0:
            probe.flags |= KprobeFlag.ON_FUNC_ENTRY
        self._ever[id(probe)] = probe
        old = self._table.get(address)
        if old is not None:
            self._register_aggr_kprobe(old, probe, address)
        else:
            self._prepare(probe, address)
            self._table[address] = probe
            if not self.all_disarmed and not probe.is_disabled:
                self._arm_or_unhash(probe, address)
            self._try_to_optimize_kprobe(probe)
        by = "ftrace" if probe.flags & KprobeFlag.FTRACE else "int3"
        self.kernel.machine.emit("kprobe.register", **self.place(probe), armed=int(self.is_armed(probe)), by=by)

    def _arm_or_unhash(self, probe: Kprobe, address: int) -> None:
        """Arm a new probe; one that cannot be armed is as if it had never been registered (REG-20)."""
        try:
            self.arming.arm(probe)
        except LinuxError:
            del self._table[address]
            probe.forget()
            raise

    def register_kprobes(self, probes: Iterable[Kprobe]) -> None:
        """Register several; if one fails, those before it are removed again (REG-22).

        Raises:
            LinuxError: of the first that failed.
        """
        done: list[Kprobe] = []
        for probe in probes:
            try:
                self.register_kprobe(probe)
            except LinuxError:
                self.unregister_kprobes(done)
                raise
            done.append(probe)

    def _prepare(self, probe: Kprobe, address: int) -> None:
        """``arch_prepare_kprobe``: boundary, slot, copy; nothing of the text is changed. ftrace needs none of it."""
        if probe.flags & KprobeFlag.FTRACE:
            probe.addr, probe.ainsn, probe.opcode = address, None, NOP5[0]
            return
        self.text.finish()  # Linux holds text_mutex: nobody sees the int3 of a patch that is under way
        can_probe(self.kernel, address, self.hidden)
        slot = self.slots.get()
        try:
            has_post_handler = probe.post_handler is not None
            ainsn = copy_instruction(
                self.kernel, address, slot, self.hidden, self.config, has_post_handler=has_post_handler
            )
        except LinuxError:
            self.slots.free(slot)
            raise
        self.kernel.write(slot, ainsn.copy)
        probe.addr, probe.ainsn, probe.opcode = address, ainsn, ainsn.original[0]
        self.kernel.machine.emit(
            "kprobe.prepare",
            **self.place(probe),
            slot=slot,
            original=ainsn.original,
            copy=ainsn.copy,
            emulated=int(ainsn.emulate_op is not None),
        )

    # Several at one address

    def _alloc_aggr_kprobe(self, probe: Kprobe) -> Kprobe:
        """``alloc_aggr_kprobe``: an aggregator, with a detour buffer if its instructions allow it; not in use yet."""
        site = Kprobe(address=probe.addr, pre_handler=aggr_pre_handler)
        site.addr, site.children = probe.addr, [probe]
        if self.optimizer is not None and not probe.flags & KprobeFlag.FTRACE:
            self.optimizer.prepare(site)
        return site

    def _init_aggr_kprobe(self, site: Kprobe, probe: Kprobe) -> None:
        """``init_aggr_kprobe``: put it into the table in the place of its first probe."""
        assert probe.addr is not None
        site.opcode, site.ainsn = probe.opcode, probe.ainsn
        site.flags = probe.flags & ~KprobeFlag.OPTIMIZED
        site.post_handler = aggr_post_handler if probe.post_handler is not None else None
        self._ever[id(site)] = site
        self._table[probe.addr] = site

    def _try_to_optimize_kprobe(self, probe: Kprobe) -> None:
        """``try_to_optimize_kprobe``: what can become a jump is an aggregator from the start (REG-21)."""
        if self.optimizer is not None and not probe.flags & KprobeFlag.FTRACE:
            site = self._alloc_aggr_kprobe(probe)
            if site.optinsn is not None:
                self._init_aggr_kprobe(site, probe)
                self.optimizer.optimize(site)

    def _register_aggr_kprobe(self, old: Kprobe, probe: Kprobe, address: int) -> None:
        """Let a further probe share slot, saved byte and int3 of the one that is there."""
        site = old
        if old.children is None:
            site = self._alloc_aggr_kprobe(old)
            self._init_aggr_kprobe(site, old)
        elif not old.children and self.optimizer is not None:
            self.optimizer.rescue(old)
        assert site.children is not None
        probe.addr, probe.opcode, probe.ainsn = address, site.opcode, site.ainsn
        if probe.post_handler is not None:
            if self.optimizer is not None:
                self.optimizer.unoptimize(site, force=True)
            site.post_handler = aggr_post_handler
        site.children.insert(0, probe)
        if site.is_disabled and not probe.is_disabled:
            site.flags &= ~KprobeFlag.DISABLED
            if not self.all_disarmed:
                self.arming.arm(site)

    def inc_nmissed_count(self, site: Kprobe) -> None:
        """``kprobes_inc_nmissed_count``: each probe of a site has missed a hit (AGG-05)."""
        for missed in site.children if site.children is not None else (site,):
            missed.nmissed += 1
            self.kernel.machine.emit("kprobe.miss", **self.place(missed), nmissed=missed.nmissed)

    # Removing

    def unregister_kprobe(self, probe: Kprobe) -> None:
        """Remove a probe; its handlers do not run any more once this returns."""
        self.unregister_kprobes([probe])

    def unregister_kprobes(self, probes: Iterable[Kprobe]) -> None:
        """Remove probes in Linux's two phases: disarm and unlink all of them, then free what they used (REG-23).

        Linux waits in between until no CPU is in a slot (``synchronize_rcu``). Here the CPUs stand still meanwhile, so
        a slot that one of them is in stays taken until it has left. A probe that is not registered is left alone.
        """
        freed: list[int] = []
        for probe in probes:
            site = self._table.get(probe.addr) if probe.addr is not None else None
            if site is None or (site is not probe and probe not in (site.children or ())):
                continue
            place = self.place(probe)
            freed += self._unlink(site, probe)
            for block in self.ctlblk:
                block.let_go(probe)
            probe.forget()
            self.kernel.machine.emit("kprobe.unregister", **place)
        self._lingering |= frozenset(freed)
        self.synchronize()

    def synchronize(self) -> None:
        """Free the slots of removed probes that no CPU is in any more; called whenever one may have left."""
        if self._lingering:
            busy = self._lingering & {probe.ainsn.insn for probe in self._handled() if probe.ainsn}
            for slot in self._lingering - busy:
                self.slots.free(slot)
            self._lingering = busy

    def _unlink(self, site: Kprobe, probe: Kprobe) -> list[int]:
        """``__unregister_kprobe_top``: disable a probe, take it out of the table; the slots that nobody needs now."""
        self._disable(site, probe)
        if site.children is None or (len(site.children) == 1 and self.arming.is_disarmed(site)):
            self.drop(site)
            if self.optimizer is not None:
                self.optimizer.free(site)
            if site.children is not None:
                site.children.remove(probe)
            return self._slots_of(site)
        site.children.remove(probe)
        if probe.post_handler is not None and all(child.post_handler is None for child in site.children):
            site.post_handler = None
        if self.optimizer is not None and not site.is_disabled and not self.all_disarmed:
            self.optimizer.optimize(site)
        return []

    def drop(self, site: Kprobe) -> None:
        """Take a site out of the table; it can no longer be hit."""
        assert site.addr is not None
        del self._table[site.addr]

    def free_aggr_kprobe(self, site: Kprobe) -> None:
        """Give back what an aggregator used that was dropped some time ago."""
        if self.optimizer is not None:
            self.optimizer.free(site)
        self._lingering |= frozenset(self._slots_of(site))
        self.synchronize()

    def _slots_of(self, site: Kprobe) -> list[int]:
        """The slot that a site does not need any more, unless it is a boosted one's: who is in there nobody notes."""
        if site.ainsn is None:
            return []
        if site.ainsn.boostable:
            self.slots.free_boosted(site.ainsn.insn)
            return []
        return [site.ainsn.insn]

    def _anybody_in_slot(self, slot: int) -> bool:
        on_the_way = any(probe.ainsn is not None and probe.ainsn.insn == slot for probe in self._handled())
        return on_the_way or anybody_inside(self.kernel, [(slot, slot + MAX_INSN_SIZE)])

    def _handled(self) -> list[Kprobe]:
        """The probes that CPUs are handling."""
        return [probe for block in self.ctlblk for probe in block.handled]

    # Enabling and disabling

    def disable_kprobe(self, probe: Kprobe) -> None:
        """Keep a probe registered but do not run its handlers; the site is disarmed with its last probe.

        Raises:
            LinuxError: EINVAL, it is not registered.
        """
        self._disable(self._site_of(probe), probe)

    def _disable(self, site: Kprobe, probe: Kprobe) -> None:
        """``__disable_kprobe``."""
        if probe.is_disabled:
            return
        if probe is not site:
            probe.flags |= KprobeFlag.DISABLED
            if not all(child.is_disabled for child in site.children or ()):
                return
        if not self.all_disarmed and not site.is_disabled:
            self.arming.disarm(site)
        site.flags |= KprobeFlag.DISABLED

    def enable_kprobe(self, probe: Kprobe) -> None:
        """Undo `disable_kprobe`.

        Raises:
            LinuxError: EINVAL, it is not registered, or gone with its module; EBUSY, ftrace will not hook its function.
        """
        site = self._site_of(probe)
        if probe.flags & KprobeFlag.GONE:
            raise LinuxError(Errno.EINVAL, "The probed code is gone.")
        before = probe.flags, site.flags
        if probe is not site:
            probe.flags &= ~KprobeFlag.DISABLED
        if not self.all_disarmed and site.is_disabled:
            site.flags &= ~KprobeFlag.DISABLED
            try:
                self.arming.arm(site)
            except LinuxError:
                probe.flags, site.flags = before
                raise

    def arm_all_kprobes(self, on: bool) -> None:
        """The global switch: arm or disarm every site without touching the probes' own flags (REG-25)."""
        if on != self.all_disarmed:
            return
        self.all_disarmed = not on
        for site in self.sites():
            if not site.is_disabled:
                if on:
                    self.arming.arm(site)
                else:
                    self.arming.disarm(site, with_all=True)
        if not on and self.optimizer is not None:
            self.optimizer.wait()

    def _site_of(self, probe: Kprobe) -> Kprobe:
        site = self._table.get(probe.addr) if probe.addr is not None else None
        if site is None or (site is not probe and probe not in (site.children or ())):
            raise LinuxError(Errno.EINVAL, "This probe is not registered.")
        return site

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return (
            tuple(self._table.items()),
            tuple((probe, probe.save()) for probe in self._ever.values()),
            tuple(
                (block.current, block.status, block.old_flags, block.saved_flags, block.previous)
                for block in self.ctlblk
            ),
            self.all_disarmed,
            self._lingering,
            self.ftrace.save(),
            self.on_ftrace.save(),
            self.slots.save(),
            self.kernel.modules.save(),
            self.text.save(),
            None if self.optimizer is None else self.optimizer.save(),
        )

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned; probes registered since are as before registration."""
        (
            table,
            probes,
            blocks,
            self.all_disarmed,
            self._lingering,
            ftrace,
            on_ftrace,
            slots,
            modules,
            text,
            optimizer,
        ) = state
        known = {id(probe) for probe, _ in probes}
        for number, probe in list(self._ever.items()):
            if number not in known:
                probe.forget()
                del self._ever[number]
        for probe, saved in probes:
            probe.restore(saved)
            self._ever[id(probe)] = probe
        self._table = dict(table)
        for block, saved in zip(self.ctlblk, blocks, strict=True):
            block.current, block.status, block.old_flags, block.saved_flags, block.previous = saved
        self.ftrace.restore(ftrace)
        self.on_ftrace.restore(on_ftrace)
        self.slots.restore(slots)
        self.kernel.modules.restore(modules)
        self.text.restore(text)
        if self.optimizer is not None:
            self.optimizer.restore(optimizer)
