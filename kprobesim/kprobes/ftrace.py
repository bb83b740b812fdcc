"""ftrace: the 5-byte nop at a function's entry becomes a call, and what it calls saves all registers.

Follows Linux 6.1 kernel/trace/ftrace.c (register_ftrace_function, ftrace_set_filter_ip, the IPMODIFY rule) and
arch/x86/kernel/ftrace.c (create_trampoline, ftrace_replace_code). Each user has an `FtraceOps` and a trampoline of its
own, a copy of the image's ``ftrace_regs_caller``; functions that several users have hooked call the original.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes.kernel import RunningKernel
from kprobesim.kprobes.kprobe import NOP5
from kprobesim.kprobes.text_poke import TextPoke
from kprobesim.linux_errno import Errno
from kprobesim.machine import Answer, GuestCall, VCpu

__all__ = ["MCOUNT_INSN_SIZE", "Ftrace", "FtraceFunc", "FtraceOps"]

MCOUNT_INSN_SIZE: Final = len(NOP5)
_CALL: Final = 0xE8
_RET_INT3: Final = b"\xc3\xcc"
_NOP2: Final = b"\x66\x90"
_ORIG_AX: Final = 120

FtraceFunc = Callable[[VCpu, int, int, int], Answer]


@dataclass(eq=False)
class FtraceOps:
    """``struct ftrace_ops``: one user of ftrace.

    Attributes:
        name: what events call it.
        stub: the guest's symbol that its trampoline calls.
        func: called at each hit with the vCPU, the site, the caller's address and the address of ``struct pt_regs``.
        ipmodify: it may change ``regs->ip``; only one such user can hook a function.
        sites: the fentry sites that it has hooked, in the order in which they came.
        trampoline: address of its own trampoline, or 0 before it has one or where there is no room for one.
        direct: where the functions call directly (``register_ftrace_direct_multi``), or 0: the address of a BPF
            trampoline.
        ops_func: for a direct user: told before a user that may change ip comes to a site of its own, with True, and
            when it has gone, with False.
    """

    name: str
    stub: str
    func: FtraceFunc
    ipmodify: bool = False
    sites: dict[int, None] = field(default_factory=dict)
    trampoline: int = 0
    direct: int = 0
    ops_func: Callable[[bool], None] | None = None


class Ftrace:
    """The fentry sites of one kernel and who has hooked them.

    Args:
        kernel: the running kernel.
        text: what writes into its code.
    """

    def __init__(self, kernel: RunningKernel, text: TextPoke) -> None:
        self._kernel = kernel
        self._text = text
        self._machine = kernel.machine
        self._sites = frozenset(kernel.tables.mcount_loc)
        self._registered: list[FtraceOps] = []
        self._ever: list[FtraceOps] = []
        self._spare: dict[str, tuple[int, ...]] = {}
        self._recursion = [False for _ in kernel.machine.cpus]

    # Looking

    def ftrace_location(self, address: int) -> int:
        """The fentry site that an address is in, at the first byte or behind it; 0 if in none."""
        if address in self._sites:
            return address
        sites = self._kernel.tables.mcount_loc
        at = bisect_right(sites, address) - 1
        return sites[at] if at >= 0 and address < sites[at] + MCOUNT_INSN_SIZE else 0

    def is_traced(self, start: int, size: int) -> bool:
        """``ftrace_location_range``: whether a function has a fentry site."""
        sites = self._kernel.tables.mcount_loc
        at = bisect_right(sites, start + size - 1) - 1
        return at >= 0 and sites[at] + MCOUNT_INSN_SIZE > start

    def users(self, site: int) -> tuple[FtraceOps, ...]:
        """Who has hooked a site, the latest registered first."""
        return tuple(ops for ops in reversed(self._registered) if site in ops.sites)

    @property
    def trampoline_size(self) -> int:
        """Bytes of a trampoline: the copied code and the return behind it."""
        symbol = self._kernel.symbol
        return symbol("ftrace_regs_caller_end") - symbol("ftrace_regs_caller") + len(_RET_INT3)

    # Hooking

    def register_ftrace_function(self, ops: FtraceOps) -> None:
        """Hook all sites of a user.

        Raises:
            LinuxError: EBUSY, it is registered already, or another user may change ip at one of its sites (FTR-04).
        """
        if ops in self._registered:
            raise LinuxError(Errno.EBUSY, f"{ops.name} is registered already.")
        self._check_ipmodify(ops, ops.sites)
        self._tell_direct(ops, ops.sites, True)
        if ops not in self._ever:
            self._ever.append(ops)
        if not ops.trampoline and not ops.direct:
            ops.trampoline = self._create_trampoline(ops)
        self._registered.append(ops)
        self._replace_code(ops.sites)

    def unregister_ftrace_function(self, ops: FtraceOps, *, dynamic: bool = False) -> None:
        """Unhook all sites of a user.

        Args:
            ops: the user.
            dynamic: its ``ftrace_ops`` go away, and with it the trampoline. A task may be inside of that, so the page
                is kept for the next user of the same function: to whoever comes back it looks the same.

        Raises:
            LinuxError: EBUSY, it is not registered.
        """
        if ops not in self._registered:
            raise LinuxError(Errno.EBUSY, f"{ops.name} is not registered.")
        self._registered.remove(ops)
        self._tell_direct(ops, ops.sites, False)
        self._replace_code(ops.sites)
        if dynamic and ops.trampoline:
            self._spare[ops.stub] = (*self._spare.get(ops.stub, ()), ops.trampoline)
            ops.trampoline = 0

    def ftrace_set_filter_ips(self, ops: FtraceOps, sites: Iterable[int], *, remove: bool = False) -> None:
        """Add sites to those of a user, or take them away.

        Raises:
            LinuxError: EINVAL, not a fentry site; EBUSY as for `register_ftrace_function`. Nothing is changed then.
        """
        chosen = dict.fromkeys(sites)
        for site in chosen:
            if site not in self._sites:
                where = self._kernel.kallsyms.symbolize(site)
                raise LinuxError(Errno.EINVAL, f"{where} is not where ftrace can hook a function.")
        if ops in self._registered and not remove:
            self._check_ipmodify(ops, chosen)
            self._tell_direct(ops, chosen, True)
        for site in chosen:
            if remove:
                ops.sites.pop(site, None)
            else:
                ops.sites[site] = None
        if ops in self._registered:
            if remove:
                self._tell_direct(ops, chosen, False)
            self._replace_code(chosen)

    def modify_ftrace_direct_multi(self, ops: FtraceOps, address: int) -> None:
        """Have the sites of a direct user call another address from now on.

        Args:
            ops: the user.
            address: of the new trampoline.
        """
        ops.direct = address
        if ops in self._registered:
            self._replace_code(ops.sites)

    def may_change_ip(self, site: int) -> bool:
        """Whether a user that may change ip has hooked a site."""
        return any(ops.ipmodify for ops in self.users(site))

    def _tell_direct(self, ops: FtraceOps, sites: Iterable[int], comes: bool) -> None:
        """``prepare_direct_functions_for_ipmodify`` and ``cleanup_direct_functions_after_ipmodify``."""
        for site in sites if ops.ipmodify else ():
            for other in self.users(site):
                if other.ops_func is not None:
                    other.ops_func(comes)

    def _check_ipmodify(self, ops: FtraceOps, sites: Iterable[int]) -> None:
        if not ops.ipmodify:
            return
        for site in sites:
            for other in self.users(site):
                if other.ipmodify and other is not ops:
                    where = self._kernel.kallsyms.symbolize(site)
                    raise LinuxError(
                        Errno.EBUSY,
                        f"{other.name} may change where {where} goes on; only one user of ftrace can.",
                        hint="A probe without post_handler does not ask for that right.",
                    )

    # Changing the code

    def _replace_code(self, sites: Iterable[int]) -> None:
        """Make the entries of functions what their users want: a nop without any, a call to the trampoline of the only
        one, its own or the one that it calls directly, or to ``ftrace_regs_caller`` for several."""
        self._text.finish()  # a patch of one of these sites that is still to come would be overlooked
        for site in sorted(sites):
            users = self.users(site)
            if not users:
                code = NOP5
            else:
                target = users[0].direct or users[0].trampoline if len(users) == 1 else 0
                code = _call(site, target or self._kernel.symbol("ftrace_regs_caller"))
            if self._kernel.read(site, len(code)) != code:
                self._text.text_poke_queue(site, code)
        self._text.text_poke_finish()

    def _create_trampoline(self, ops: FtraceOps) -> int:
        """``create_trampoline``: a page with a copy of ``ftrace_regs_caller`` that calls the user's own function.

        Returns:
            Its address, or 0 if the module area is full: the user is then served by the original.
        """
        spare = self._spare.get(ops.stub, ())
        if spare:
            self._spare[ops.stub] = spare[:-1]
            return spare[-1]
        kernel = self._kernel
        start, end = kernel.symbol("ftrace_regs_caller"), kernel.symbol("ftrace_regs_caller_end")
        at = kernel.symbol("ftrace_regs_call") - start
        try:
            page = kernel.modules.alloc_page("ftrace_trampoline")
        except LinuxError:
            return 0
        code = bytearray(kernel.read(start, end - start))
        code[at : at + MCOUNT_INSN_SIZE] = _call(page + at, kernel.symbol(ops.stub))
        jmp = kernel.symbol("ftrace_regs_caller_jmp") - start
        code[jmp : jmp + len(_NOP2)] = _NOP2
        code += _RET_INT3
        kernel.write(page, bytes(code))
        self._machine.emit("ftrace.trampoline", addr=page, size=len(code), user=ops.name, func=kernel.symbol(ops.stub))
        return page

    # At a hit

    def trylock(self, cpu: int) -> bool:
        """``ftrace_test_recursion_trylock``: whether no handler is under way on this CPU; then one is from now on."""
        if self._recursion[cpu]:
            return False
        self._recursion[cpu] = True
        return True

    def unlock(self, cpu: int) -> None:
        """``ftrace_test_recursion_unlock``."""
        self._recursion[cpu] = False

    def ftrace_ops_list_func(self, cpu: VCpu, ip: int, parent_ip: int, regs: int) -> Generator[GuestCall, int, int]:
        """For a function that several users have hooked: call them all, the latest registered first.

        Args:
            cpu: the vCPU.
            ip: the fentry site.
            parent_ip: where the function will return to.
            regs: address of the guest's ``struct pt_regs``.
        """
        for ops in self.users(ip):
            if ops.direct:
                # call_direct_funcs: where ftrace_regs_caller goes when all have been called.
                self._kernel.write(regs + _ORIG_AX, ops.direct.to_bytes(8, "little"))
                continue
            answer = ops.func(cpu, ip, parent_ip, regs)
            if not isinstance(answer, int):
                yield from answer
        return 0

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return (
            tuple(self._registered),
            tuple((ops, tuple(ops.sites), ops.trampoline, ops.direct) for ops in self._ever),
            tuple(self._spare.items()),
        )

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        registered, ever, spare = state
        for ops in self._ever:
            ops.sites, ops.trampoline, ops.direct = {}, 0, 0
        for ops, sites, ops.trampoline, ops.direct in ever:
            ops.sites = dict.fromkeys(sites)
        self._registered, self._ever, self._spare = list(registered), [ops for ops, *_ in ever], dict(spare)
        self._recursion = [False for _ in self._recursion]


def _call(at: int, target: int) -> bytes:
    """The 5 bytes of a call at an address."""
    return bytes([_CALL]) + (target - (at + MCOUNT_INSN_SIZE)).to_bytes(4, "little", signed=True)
