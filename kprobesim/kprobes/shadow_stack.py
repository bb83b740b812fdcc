"""Awaited returns: for each task the list of calls whose return address on the stack was replaced by a trampoline's.

It is a shadow stack in all but name. Follows Linux 6.1 kernel/trace/rethook.c and arch/x86/kernel/rethook.c; who wants
to see returns (kretprobes, fprobes) builds on it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import cached_property
from typing import Any

from kprobesim.errors import GuestError
from kprobesim.kprobes.kernel import RunningKernel
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.machine import Answer, GuestCall, VCpu

__all__ = ["Rethook", "RethookHandler", "RethookNode", "ShadowStacks"]


class Rethook:
    """``struct rethook``: a pool of nodes and whom to tell of a return. Each registration has one of its own.

    Args:
        owner: the return probe or fprobe.
        handler: called at each return.
        nodes: how many calls can be awaited at once.

    Attributes:
        owner, handler: as given.
        free: nodes that are left.
        stopped: nobody is told any more, and nodes that come back are freed.
    """

    __slots__ = ("free", "handler", "owner", "stopped")

    def __init__(self, owner: Any, handler: RethookHandler, nodes: int) -> None:
        self.owner, self.handler, self.free, self.stopped = owner, handler, nodes, False

    def try_get(self) -> RethookNode | None:
        """``rethook_try_get``: a node for a call, or None if there is none left."""
        if self.stopped or not self.free:
            return None
        self.free -= 1
        return RethookNode(self)


class RethookNode:
    """``struct rethook_node``: one call whose return is awaited.

    Attributes:
        rethook: the pool that it comes from.
        ret_addr: what was on the stack.
        frame: where on the stack it was.
        data: what was left at the entry for the return.
    """

    __slots__ = ("data", "frame", "ret_addr", "rethook")

    def __init__(self, rethook: Rethook) -> None:
        self.rethook = rethook
        self.ret_addr = self.frame = 0
        self.data: Any = None

    @property
    def owner(self) -> Any:
        """The return probe or fprobe."""
        return self.rethook.owner

    def recycle(self) -> None:
        """``rethook_recycle``: back to the pool, if that is still in use."""
        if not self.rethook.stopped:
            self.rethook.free += 1


RethookHandler = Callable[[RethookNode, PtRegs], Answer | None]


class ShadowStacks:
    """The lists of all tasks of one kernel.

    Args:
        kernel: the running kernel.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self._tasks: dict[int, list[RethookNode]] = {}
        self._ever: list[Rethook] = []

    @cached_property
    def trampoline(self) -> int:
        """Address of ``arch_rethook_trampoline``."""
        return self._kernel.symbol("arch_rethook_trampoline")

    def nodes(self, task: int) -> tuple[RethookNode, ...]:
        """The calls of a task whose return is awaited, the latest first."""
        return tuple(self._tasks.get(task, ()))

    def rethook_alloc(self, owner: Any, handler: RethookHandler, nodes: int) -> Rethook:
        """``rethook_alloc`` and ``rethook_add_node``: a pool.

        Args:
            owner: the return probe or fprobe.
            handler: called at each return.
            nodes: how many calls can be awaited at once.
        """
        rethook = Rethook(owner, handler, nodes)
        self._ever.append(rethook)
        return rethook

    def rethook_hook(self, node: RethookNode, regs: PtRegs, place: dict[str, Any]) -> None:
        """Replace the return address of a call that begins (``arch_rethook_prepare``, KRP-03).

        Args:
            node: from `Rethook.try_get`.
            regs: the registers at the function's entry.
            place: the fields that say in an event which function it is.
        """
        stack = regs.sp
        word = regs.ram.read_virtual(regs.root, stack, 8)
        node.ret_addr, node.frame = int.from_bytes(word, "little"), stack
        regs.ram.write_virtual(regs.root, stack, self.trampoline.to_bytes(8, "little"))
        self._tasks.setdefault(self._kernel.current(regs.cpu).address, []).insert(0, node)
        self._machine.record("rethook.prepare", {**place, "slot": stack, "ret_addr": node.ret_addr})

    def rethook_trampoline_handler(self, cpu: VCpu, address: int, frame: int, _: int) -> Answer:
        """Tell those who await the call that returns, and put its real return address back.

        Several hooks of one call share a frame: all but the first have saved the trampoline's address. The nodes stay
        in the list until all handlers have run, as these may want a stack trace.

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
        return self._tell(regs, task, nodes[:count], frame)

    def _tell(self, regs: PtRegs, task: int, nodes: list[RethookNode], frame: int) -> Generator[GuestCall, int, int]:
        real = regs.ip = nodes[-1].ret_addr
        for node in nodes:
            if node.frame != frame:
                # WARN_ON_ONCE: somebody has returned past a call that is awaited. What is left is unlinked untold.
                self._machine.emit("rethook.warn", frame=frame, expected=node.frame, ret_addr=real)
                break
            if not node.rethook.stopped:
                answer = node.rethook.handler(node, regs)
                if not isinstance(answer, int | None):
                    yield from answer
        del self._tasks[task][: len(nodes)]
        for node in nodes:
            node.recycle()
        self._machine.ram.write_virtual(regs.root, frame, real.to_bytes(8, "little"))
        return real

    def rethook_find_ret_addr(self, task: int, frame: int) -> int | None:
        """For unwinders: the real return address where a task's stack has the trampoline's (KRP-10).

        Args:
            task: address of its ``task_struct``.
            frame: where on the stack the trampoline's address was found.
        """
        trampoline = self.trampoline
        at_frame = [node for node in self._tasks.get(task, ()) if node.frame == frame]
        return next((node.ret_addr for node in at_frame if node.ret_addr != trampoline), None)

    def find_ret_addr_for_guest(self, _: VCpu, task: int, frame: int, __: int) -> int:
        """The same, asked by the guest's own unwinder; 0 if there is none."""
        return self.rethook_find_ret_addr(task, frame) or 0

    def rethook_flush_task(self, task: int) -> None:
        """A task is gone: the calls it never returned from are no longer awaited (KRP-08)."""
        for node in self._tasks.pop(task, ()):
            node.recycle()

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return (
            {
                task: tuple((node, node.ret_addr, node.frame, _copied(node.data)) for node in nodes)
                for task, nodes in self._tasks.items()
                if nodes
            },
            tuple((rethook, rethook.free, rethook.stopped) for rethook in self._ever),
        )

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        tasks, rethooks = state
        self._tasks = {}
        for task, rows in tasks.items():
            for node, node.ret_addr, node.frame, data in rows:
                node.data = _copied(data)
            self._tasks[task] = [node for node, *_ in rows]
        self._ever = [rethook for rethook, *_ in rethooks]
        for rethook, free, stopped in rethooks:
            rethook.free, rethook.stopped = free, stopped


def _copied(data: Any) -> Any:
    """Bytes that a handler may change are kept as they are now."""
    if isinstance(data, tuple):
        return tuple(_copied(part) for part in data)
    return bytearray(data) if isinstance(data, bytearray) else data
