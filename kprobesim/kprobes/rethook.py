"""Return probes: a probe at a function's entry that has its return awaited.

Follows Linux 6.1 kernel/kprobes.c: register_kretprobe, pre_handler_kretprobe, kretprobe_rethook_handler.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from kprobesim.errors import LinuxError
from kprobesim.kprobes.core import Kprobes
from kprobesim.kprobes.int3 import Int3Path
from kprobesim.kprobes.kprobe import Kprobe
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.kprobes.shadow_stack import Rethook, RethookNode, ShadowStacks
from kprobesim.linux_errno import Errno
from kprobesim.machine import Answer, GuestCall

__all__ = ["Kretprobe", "Rethooks"]

_MAX_DATA_SIZE = 4096
_NEVER = frozenset({"__switch_to"})

EntryHandler = Callable[[RethookNode, PtRegs], int]
ReturnHandler = Callable[[RethookNode, PtRegs], Answer | None]


@dataclass(eq=False)
class Kretprobe:
    """``struct kretprobe``: a probe at a function's entry that catches its return.

    Attributes:
        kp: where; its pre_handler is replaced, and it can have no post_handler.
        handler: called at the return; what it answers is of no interest, but may come by way of the guest.
        entry_handler: called at the entry; non-zero says that this call is not of interest.
        maxactive: calls that can be awaited at once; 0 or less becomes max(10, 2 * CPUs) and is written back.
        data_size: bytes a node keeps for the handlers; Linux accepts at most 4096.
        nmissed: calls whose return was not seen for want of a node.
        rethook: the nodes of this registration. Those of calls from before a removal stay with the old one.
    """

    kp: Kprobe
    handler: ReturnHandler | None = None
    entry_handler: EntryHandler | None = None
    maxactive: int = 0
    data_size: int = 0
    nmissed: int = field(default=0, init=False)
    rethook: Rethook | None = field(default=None, init=False)

    @property
    def free(self) -> int:
        """How many more calls can be awaited now."""
        return self.rethook.free if self.rethook is not None else 0


class Rethooks(ShadowStacks):
    """The calls that are awaited in one kernel, and its return probes.

    Args:
        kprobes: the table of probes.
        path: the int3 path, for who is current.
    """

    def __init__(self, kprobes: Kprobes, path: Int3Path) -> None:
        super().__init__(kprobes.kernel)
        self._kprobes = kprobes
        self._path = path
        self._probes: dict[int, Kretprobe] = {}

    def register_kretprobe(self, probe: Kretprobe) -> None:
        """Register a return probe.

        Raises:
            LinuxError: EINVAL, not at a function's entry, or a function that never returns normally; ENOENT, no such
                symbol; E2BIG, too much data; and everything that `Kprobes.register_kprobe` raises.
        """
        kp = probe.kp
        if kp.addr is not None:
            raise LinuxError(Errno.EINVAL, "This return probe is registered already.")
        self._check_entry(kp)
        if probe.data_size > _MAX_DATA_SIZE:
            raise LinuxError(Errno.E2BIG, f"A return probe keeps at most {_MAX_DATA_SIZE} bytes for a call.")
        kp.pre_handler, kp.post_handler, kp.data = self._pre_handler, None, probe
        if probe.maxactive <= 0:
            probe.maxactive = max(10, 2 * len(self._machine.cpus))
        probe.nmissed, probe.rethook = 0, self.rethook_alloc(probe, self._kretprobe_rethook_handler, probe.maxactive)
        self._probes[id(probe)] = probe
        try:
            self._kprobes.register_kprobe(kp)
        except LinuxError:
            probe.rethook.stopped = True
            raise

    def unregister_kretprobe(self, probe: Kretprobe) -> None:
        """Remove a return probe. Calls under way still return through the trampoline, without a handler (KRP-09)."""
        self._kprobes.unregister_kprobe(probe.kp)
        if probe.rethook is not None:
            probe.rethook.stopped = True

    def _check_entry(self, kp: Kprobe) -> None:
        """``kprobe_on_func_entry``."""
        kallsyms = self._kernel.kallsyms
        if kp.symbol_name is not None and not kallsyms.lookup_name(kp.symbol_name):
            raise LinuxError(Errno.ENOENT, f"The kernel has no symbol {kp.symbol_name}.")
        address = kallsyms.lookup_name(kp.symbol_name)[0].address if kp.symbol_name else kp.address or 0
        place = kallsyms.lookup_size_offset(address + kp.offset)
        if place is None:
            raise LinuxError(Errno.ENOENT, f"No symbol of the kernel contains {address + kp.offset:#x}.")
        if place[1]:
            raise LinuxError(Errno.EINVAL, f"{place[0].name}+{place[1]:#x} is not the entry of a function.")
        if place[0].name in _NEVER:
            raise LinuxError(Errno.EINVAL, f"{place[0].name} comes back on another stack; its return cannot be probed.")

    # At the entry

    def _pre_handler(self, kp: Kprobe, regs: PtRegs) -> int:
        """``pre_handler_kretprobe``."""
        probe: Kretprobe = kp.data
        assert probe.rethook is not None
        node = probe.rethook.try_get()
        if node is None:
            probe.nmissed += 1
            self._machine.emit("rethook.miss", **self._kprobes.place(kp), nmissed=probe.nmissed)
        elif probe.entry_handler is not None and probe.entry_handler(node, regs):
            node.recycle()
        else:
            self.rethook_hook(node, regs, self._kprobes.place(kp))
        return 0

    # At the return

    def _kretprobe_rethook_handler(self, node: RethookNode, regs: PtRegs) -> Answer | None:
        """``kretprobe_rethook_handler``: the handler runs as the probe that is current (KRP-07)."""
        probe: Kretprobe = node.owner
        return None if probe.handler is None else self._run_handler(probe, probe.handler, node, regs)

    def _run_handler(
        self, probe: Kretprobe, handler: ReturnHandler, node: RethookNode, regs: PtRegs
    ) -> Generator[GuestCall, int, int]:
        ret_addr, place = regs.ip, self._kprobes.place(probe.kp)  # by the end it may have been removed
        with self._path.running_as(probe.kp, regs):
            answer = handler(node, regs)
            if not isinstance(answer, int | None):
                yield from answer
        self._machine.record("rethook.handler", {**place, "ret_addr": ret_addr, "retval": regs.ax})
        return 0

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return super().save(), tuple((p, p.nmissed, p.rethook, p.maxactive) for p in self._probes.values())

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        stacks, probes = state
        super().restore(stacks)
        for probe in self._probes.values():
            probe.nmissed, probe.rethook = 0, None
        for probe, nmissed, rethook, maxactive in probes:
            probe.nmissed, probe.rethook, probe.maxactive = nmissed, rethook, maxactive
        self._probes = {id(probe): probe for probe, *_ in probes}
