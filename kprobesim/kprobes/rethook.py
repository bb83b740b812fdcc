"""Return probes: the return address on the stack is replaced by a trampoline's.

Follows Linux 6.1 kernel/kprobes.c (register_kretprobe, kretprobe_rethook_handler), kernel/trace/rethook.c and
arch/x86/kernel/rethook.c. The replaced addresses are kept in a list for each task, a shadow stack in all but name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kprobesim.errors import GuestError, LinuxError
from kprobesim.kprobes.core import Kprobes
from kprobesim.kprobes.int3 import Int3Path
from kprobesim.kprobes.kprobe import Kprobe
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.linux_errno import Errno
from kprobesim.machine import Answer, GuestCall, VCpu

__all__ = ["Kretprobe", "RethookNode", "Rethooks"]

_MAX_DATA_SIZE = 4096
_NEVER = frozenset({"__switch_to"})


@dataclass(eq=False, slots=True)
class RethookNode:
    """``struct rethook_node``: one call whose return is awaited.

    Attributes:
        owner: the return probe.
        ret_addr: what was on the stack.
        frame: where on the stack it was.
        data: what the entry_handler left for the handler.
    """

    owner: Kretprobe
    ret_addr: int = 0
    frame: int = 0
    data: Any = None


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
    """

    kp: Kprobe
    handler: ReturnHandler | None = None
    entry_handler: EntryHandler | None = None
    maxactive: int = 0
    data_size: int = 0
    nmissed: int = field(default=0, init=False)
    active: bool = field(default=False, init=False)
    free: int = field(default=0, init=False)


class Rethooks:
    """All return probes of one kernel and the calls that they await.

    Args:
        kprobes: the table of probes.
        path: the int3 path, for who is current.
    """

    def __init__(self, kprobes: Kprobes, path: Int3Path) -> None:
        self._kprobes = kprobes
        self._kernel = kprobes.kernel
        self._machine = kprobes.kernel.machine
        self._path = path
        self._tasks: dict[int, list[RethookNode]] = {}
        self._ever: dict[int, Kretprobe] = {}

    @cached_property
    def trampoline(self) -> int:
        """Address of ``arch_rethook_trampoline``."""
        return self._kernel.symbol("arch_rethook_trampoline")

    def nodes(self, task: int) -> tuple[RethookNode, ...]:
        """The calls of a task whose return is awaited, the latest first."""
        return tuple(self._tasks.get(task, ()))

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
        probe.nmissed, probe.free, probe.active = 0, probe.maxactive, True
        self._ever[id(probe)] = probe
        try:
            self._kprobes.register_kprobe(kp)
        except LinuxError:
            probe.active = False
            raise

    def unregister_kretprobe(self, probe: Kretprobe) -> None:
        """Remove a return probe. Calls under way still return through the trampoline, without a handler (KRP-09)."""
        self._kprobes.unregister_kprobe(probe.kp)
        probe.active = False

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
        """``pre_handler_kretprobe``, ``rethook_hook`` and ``arch_rethook_prepare``."""
        probe: Kretprobe = kp.data
        if probe.free == 0:
            probe.nmissed += 1
            self._machine.emit("rethook.miss", **self._kprobes.place(kp), nmissed=probe.nmissed)
            return 0
        node = RethookNode(probe)
        if probe.entry_handler is not None and probe.entry_handler(node, regs):
            return 0
        probe.free -= 1
        stack = regs.sp
        word = self._machine.ram.read_virtual(regs.root, stack, 8)
        node.ret_addr, node.frame = int.from_bytes(word, "little"), stack
        self._machine.ram.write_virtual(regs.root, stack, self.trampoline.to_bytes(8, "little"))
        self._tasks.setdefault(self._kernel.current(regs.cpu).address, []).insert(0, node)
        self._machine.emit("rethook.prepare", **self._kprobes.place(kp), slot=stack, ret_addr=node.ret_addr)
        return 0

    # At the return

    def rethook_trampoline_handler(self, cpu: VCpu, address: int, frame: int, _: int) -> Answer:
        """Run the handlers of the call that returns, and put its real return address back.

        Several return probes on one function share a frame: all but the first have saved the trampoline's address.

        Args:
            cpu: the vCPU.
            address: of the guest's ``struct pt_regs``.
            frame: address of the word that the trampoline returns through.

        Raises:
            GuestError: no real return address is known (KRP-06).
        """
        regs = PtRegs(self._machine.ram, cpu.root, address, cpu.number)
        task = self._kernel.current(cpu.number).address
        nodes = self._tasks.get(task, [])
        trampoline = self.trampoline
        count = next((number for number, node in enumerate(nodes, 1) if node.ret_addr != trampoline), 0)
        if not count:
            raise GuestError(
                "rethook: Return address not found! The trampoline was reached without a call that is awaited.",
                report=self._machine.report(cpu),
            )
        returning, self._tasks[task] = nodes[:count], nodes[count:]
        regs.ip = returning[-1].ret_addr
        return self._run_handlers(returning, regs, frame)

    def _run_handlers(
        self, returning: Iterable[RethookNode], regs: PtRegs, frame: int
    ) -> Generator[GuestCall, int, int]:
        real = regs.ip
        for node in returning:
            probe = node.owner
            if probe.active and probe.handler is not None:
                with self._path.running_as(probe.kp, regs):
                    answer = probe.handler(node, regs)
                    if not isinstance(answer, int | None):
                        yield from answer
                self._machine.emit("rethook.handler", **self._kprobes.place(probe.kp), ret_addr=real, retval=regs.ax)
            probe.free += 1
        self._machine.ram.write_virtual(regs.root, frame, real.to_bytes(8, "little"))
        return real

    def rethook_find_ret_addr(self, task: int, frame: int) -> int | None:
        """For unwinders: the real return address where a task's stack has the trampoline's (KRP-10)."""
        trampoline = self.trampoline
        at_frame = [node for node in self._tasks.get(task, ()) if node.frame == frame]
        return next((node.ret_addr for node in at_frame if node.ret_addr != trampoline), None)

    def rethook_flush_task(self, task: int) -> None:
        """A task is gone: the calls it never returned from are no longer awaited (KRP-08)."""
        for node in self._tasks.pop(task, ()):
            node.owner.free += 1

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return (
            {task: tuple(nodes) for task, nodes in self._tasks.items() if nodes},
            tuple((p, p.nmissed, p.active, p.free, p.maxactive) for p in self._ever.values()),
        )

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        tasks, probes = state
        self._tasks = {task: list(nodes) for task, nodes in tasks.items()}
        known = {id(probe) for probe, *_ in probes}
        for number, probe in list(self._ever.items()):
            if number not in known:
                probe.active, probe.nmissed, probe.free = False, 0, 0
                del self._ever[number]
        for probe, nmissed, active, free, maxactive in probes:
            probe.nmissed, probe.active, probe.free, probe.maxactive = nmissed, active, free, maxactive
            self._ever[id(probe)] = probe
