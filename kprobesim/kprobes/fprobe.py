"""fprobes: one pair of handlers on the entries and returns of many functions, by ftrace and without kprobes.

Follows Linux 6.1 kernel/trace/fprobe.c. A BPF program on ``kprobe.multi`` is a user of this.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes.core import Kprobes
from kprobesim.kprobes.ftrace import FtraceOps
from kprobesim.kprobes.int3 import Int3Path
from kprobesim.kprobes.kprobe import Kprobe
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.kprobes.shadow_stack import Rethook, RethookNode, ShadowStacks
from kprobesim.linux_errno import Errno
from kprobesim.machine import Answer, GuestCall, VCpu

__all__ = ["Fprobe", "FprobeHandler", "Fprobes"]

_STUB: Final = "fprobe_handler"


@dataclass(eq=False)
class Fprobe:
    """``struct fprobe``.

    Attributes:
        entry_handler: called at a function's entry with the fprobe, the fentry site, the registers and the call's data;
            ``regs.ip`` is behind the call of ftrace (FPR-04).
        exit_handler: called at the return with the same; ``regs.ip`` is where the function returns to.
        nr_maxactive: calls that can be awaited at once; 0 means twice the number of functions and CPUs.
        entry_data_size: bytes that a call keeps from its entry to its return, as a bytearray.
        shared_with_kprobes: ``FPROBE_FL_KPROBE_SHARED``: while a kprobe is handled a hit is missed, and the other way
            round.
        disabled: ``FPROBE_FL_DISABLED``: hits are ignored; it can be set and cleared at any time.
        name: what events call it.
        nmissed: hits whose handlers were not run.
    """

    entry_handler: FprobeHandler | None = None
    exit_handler: FprobeHandler | None = None
    nr_maxactive: int = 0
    entry_data_size: int = 0
    shared_with_kprobes: bool = False
    disabled: bool = False
    name: str = "fprobe"
    nmissed: int = field(default=0, init=False)
    ops: FtraceOps | None = field(default=None, init=False)
    rethook: Rethook | None = field(default=None, init=False)


FprobeHandler = Callable[[Fprobe, int, PtRegs, bytearray | None], Answer | None]


class Fprobes:
    """All fprobes of one kernel.

    Args:
        kprobes: the table of probes, with its ftrace.
        path: the int3 path, for who is current.
        stacks: the awaited returns.
    """

    def __init__(self, kprobes: Kprobes, path: Int3Path, stacks: ShadowStacks) -> None:
        self._kprobes = kprobes
        self._kernel = kprobes.kernel
        self._machine = kprobes.kernel.machine
        self._ftrace = kprobes.ftrace
        self._path = path
        self._stacks = stacks
        self._ever: list[Fprobe] = []
        # kprobe_busy: what current_kprobe points to while a sharing fprobe runs.
        self._busy = Kprobe(address=0, name="kprobe_busy")

    # Registering

    def register_fprobe(self, fprobe: Fprobe, match: str, notfilter: str | None = None) -> None:
        """Hook the functions whose names match a pattern.

        Args:
            fprobe: what to call.
            match: names; ``*``, ``?`` and ``[...]`` as in a shell.
            notfilter: names to leave out.

        Raises:
            LinuxError: EINVAL, no function that ftrace can hook has such a name; EBUSY, it is registered already.
        """
        chosen = self._matching(match)
        # As in Linux the nodes are counted by the first pattern alone.
        left_out = set(self._matching(notfilter)) if notfilter is not None else set()
        self._register(fprobe, [site for site in chosen if site not in left_out], len(chosen))

    def register_fprobe_ips(self, fprobe: Fprobe, sites: Iterable[int]) -> None:
        """Hook functions by the addresses of their fentry sites.

        Raises:
            LinuxError: EINVAL, no address, or one that is not such a site; EBUSY, it is registered already.
        """
        chosen = list(dict.fromkeys(sites))
        self._register(fprobe, chosen, len(chosen))

    def register_fprobe_syms(self, fprobe: Fprobe, symbols: Iterable[str]) -> None:
        """Hook functions by name.

        Raises:
            LinuxError: EINVAL, no name; ENOENT, one that no function bears which ftrace can hook; EBUSY, it is
                registered already.
        """
        sites = []
        for name in sorted(symbols):
            found = self._kernel.kallsyms.lookup_name(name)
            site = next((s.address for s in found if self._ftrace.ftrace_location(s.address) == s.address), None)
            if site is None:
                raise LinuxError(Errno.ENOENT, f"ftrace can hook no function named {name}.")
            sites.append(site)
        self.register_fprobe_ips(fprobe, sites)

    def unregister_fprobe(self, fprobe: Fprobe) -> None:
        """Unhook all its functions. Calls under way return without a handler.

        Raises:
            LinuxError: EINVAL, it is not registered.
        """
        ops = fprobe.ops
        if ops is None:
            raise LinuxError(Errno.EINVAL, f"{fprobe.name} is not registered.")
        if fprobe.rethook is not None:
            fprobe.rethook.stopped = True
        self._ftrace.unregister_ftrace_function(ops, dynamic=True)
        fprobe.ops = None
        self._machine.emit("fprobe.unregister", probe=fprobe.name)

    def _matching(self, pattern: str) -> list[int]:
        names = {symbol.address: symbol.name for symbol in self._kernel.kallsyms if symbol.is_text}
        sites = self._kernel.tables.mcount_loc
        chosen = [site for site in sites if fnmatchcase(names.get(site, ""), pattern)]
        if not chosen:
            raise LinuxError(Errno.EINVAL, f"ftrace can hook no function whose name matches {pattern!r}.")
        return chosen

    def _register(self, fprobe: Fprobe, sites: list[int], count: int) -> None:
        if fprobe.ops is not None:
            raise LinuxError(Errno.EBUSY, f"{fprobe.name} is registered already.")
        if not sites:
            raise LinuxError(Errno.EINVAL, "An fprobe needs at least one function.")

        def func(cpu: VCpu, ip: int, parent_ip: int, address: int) -> Answer:
            return self._hit(fprobe, cpu, ip, address)

        ops = FtraceOps(fprobe.name, _STUB, func)
        self._ftrace.ftrace_set_filter_ips(ops, sites)
        fprobe.nmissed, fprobe.rethook = 0, None
        nodes = fprobe.nr_maxactive or count * len(self._machine.cpus) * 2
        if fprobe.exit_handler is not None:
            if nodes <= 0:
                raise LinuxError(Errno.EINVAL, f"{nodes} calls cannot be awaited.")
            fprobe.rethook = self._stacks.rethook_alloc(fprobe, self._exit_handler, nodes)
        self._ftrace.register_ftrace_function(ops)
        fprobe.ops = ops
        if fprobe not in self._ever:
            self._ever.append(fprobe)
        nodes = fprobe.rethook.free if fprobe.rethook is not None else 0
        self._machine.emit("fprobe.register", probe=fprobe.name, functions=len(sites), nodes=nodes)

    # At a hit

    def fprobe_handler(self, cpu: VCpu, ip: int, parent_ip: int, address: int) -> Generator[GuestCall, int, int]:
        """Run the handlers of the fprobe whose trampoline was called.

        Args:
            cpu: the vCPU.
            ip: the fentry site.
            parent_ip: where the function will return to.
            address: of the guest's ``struct pt_regs``.
        """
        for ops in self._ftrace.users(ip):
            if ops.stub == _STUB:
                answer = ops.func(cpu, ip, parent_ip, address)
                if not isinstance(answer, int):
                    yield from answer
        return 0

    def _hit(self, fprobe: Fprobe, cpu: VCpu, ip: int, address: int) -> Generator[GuestCall, int, int]:
        """``fprobe_kprobe_handler`` where kprobes share its lock, else ``fprobe_handler``."""
        if fprobe.shared_with_kprobes and self._kprobes.ctlblk[cpu.number].current is not None:
            self._miss(fprobe, ip)
            return 0
        if fprobe.disabled:
            return 0
        if not self._ftrace.trylock(cpu.number):
            self._miss(fprobe, ip)
            return 0
        regs = PtRegs(self._machine.ram, cpu.root, address, cpu.number)
        if fprobe.shared_with_kprobes:
            with self._path.running_as(self._busy, regs):
                yield from self._enter(fprobe, ip, regs)
        else:
            yield from self._enter(fprobe, ip, regs)
        self._ftrace.unlock(cpu.number)
        return 0

    def _enter(self, fprobe: Fprobe, ip: int, regs: PtRegs) -> Generator[GuestCall, int, None]:
        node = None
        data: bytearray | None = None
        if fprobe.rethook is not None:
            node = fprobe.rethook.try_get()
            if node is None:
                self._miss(fprobe, ip)
                return
            data = bytearray(fprobe.entry_data_size) if fprobe.entry_data_size else None
            node.data = ip, data
        place = self._place(fprobe, ip)
        if fprobe.entry_handler is not None:
            answer = fprobe.entry_handler(fprobe, ip, regs, data)
            if not isinstance(answer, int | None):
                yield from answer
        self._machine.record("fprobe.entry", {**place})
        if node is not None:
            self._stacks.rethook_hook(node, regs, place)

    def _exit_handler(self, node: RethookNode, regs: PtRegs) -> Generator[GuestCall, int, int]:
        fprobe: Fprobe = node.owner
        if fprobe.disabled or fprobe.exit_handler is None:
            return 0
        ip, data = node.data
        ret_addr = regs.ip
        answer = fprobe.exit_handler(fprobe, ip, regs, data)
        if not isinstance(answer, int | None):
            yield from answer
        self._machine.record("fprobe.exit", {**self._place(fprobe, ip), "ret_addr": ret_addr, "retval": regs.ax})
        return 0

    def _miss(self, fprobe: Fprobe, ip: int) -> None:
        fprobe.nmissed += 1
        self._machine.record("fprobe.miss", {**self._place(fprobe, ip), "nmissed": fprobe.nmissed})

    def _place(self, fprobe: Fprobe, ip: int) -> dict[str, Any]:
        """The fields that say in an event which function of the fprobe it is about."""
        found = self._kernel.kallsyms.lookup_size_offset(ip)
        return {"addr": ip, "symbol": found[0].name if found else "", "offset": 0, "probe": fprobe.name}

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return tuple((fprobe, fprobe.nmissed, fprobe.disabled, fprobe.ops, fprobe.rethook) for fprobe in self._ever)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        for fprobe in self._ever:
            fprobe.nmissed, fprobe.ops, fprobe.rethook = 0, None, None
        for fprobe, nmissed, disabled, ops, rethook in state:
            fprobe.nmissed, fprobe.disabled, fprobe.ops, fprobe.rethook = nmissed, disabled, ops, rethook
        self._ever = [fprobe for fprobe, *_ in state]
