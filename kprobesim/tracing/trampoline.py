"""BPF trampolines: what fentry, fexit and fmod_ret programs hang on.

A function with such programs has one page of code of its own, ``bpf_trampoline_KEY``, which the 5-byte nop at its entry
calls: no trap, no pt_regs, no look-up. Whenever a program comes or goes a new page is made and the call is patched; the
old page goes when nobody is inside of it any more.

Follows Linux 6.1 kernel/bpf/trampoline.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kprobesim.bpf import ArenaFull
from kprobesim.bpf.helper_names import HELPER_IDS
from kprobesim.bpf.jit import JitError
from kprobesim.bpf.jit.trampoline import (
    TrampFlag,
    TrampLink,
    TrampLinks,
    arch_prepare_bpf_trampoline,
)
from kprobesim.errors import LinuxError
from kprobesim.image import BtfKind
from kprobesim.kprobes import FtraceOps, KprobeManager
from kprobesim.kprobes.quiescence import anybody_inside
from kprobesim.kprobes.reljump import relative_jump
from kprobesim.linux_errno import Errno
from kprobesim.machine import PAGE_SIZE
from kprobesim.tracing.bpf_runs import BpfRuns
from kprobesim.tracing.trampoline_calls import INTERPRETER, TrampImage, TrampolineCalls

if TYPE_CHECKING:
    from kprobesim.bpf import Program
    from kprobesim.tracing.bpf import BpfPrograms

__all__ = ["ATTACH_KINDS", "BPF_PROG_SIZE", "Tracer", "Trampolines"]

BPF_PROG_SIZE: Final = 72
"""Bytes of ``struct bpf_prog`` before its instructions."""
ATTACH_KINDS: Final = {"trace_fentry": "fentry", "trace_fexit": "fexit", "modify_return": "fmod_ret"}
"""Attach types of programs that a trampoline calls -> their kinds in it."""

_MAX_LINKS: Final = 38
_JIFFY_NS: Final = 4_000_000
_IMAGE_SIZE: Final = 64  # of struct bpf_tramp_image
_VMLINUX: Final = 1
_BTF_KEY: Final = 0x8000_0000
_INT3: Final = b"\xcc"
_GET_FUNC_IP: Final = HELPER_IDS["get_func_ip"]


@dataclass(frozen=True, slots=True)
class Tracer:
    """``struct bpf_tramp_link``: a program on a function.

    Attributes:
        program: its name.
        kind: fentry, fexit or fmod_ret.
        link: what the trampoline's code needs of it.
        wants_ip: whether it calls ``bpf_get_func_ip``.
    """

    program: str
    kind: str
    link: TrampLink
    wants_ip: bool


@dataclass(eq=False)
class _Function:
    """``struct bpf_trampoline``: a function that programs are on.

    Attributes:
        name, address, nr_args: of the function; arguments in units of 8 bytes.
        ops: by which ftrace knows it; named as its pages are, after the function's number in the kernel's types.
        tracers: the programs, the latest first.
        image: the page that its entry calls, or 0 for none.
        share_ipmodify: another user of the entry may send the function elsewhere.
    """

    name: str
    address: int
    nr_args: int
    ops: FtraceOps
    tracers: tuple[Tracer, ...] = ()
    image: int = 0
    share_ipmodify: bool = False

    @property
    def links(self) -> TrampLinks:
        """The programs by kind."""
        kinds = (tuple(tracer.link for tracer in self.tracers if tracer.kind == kind) for kind in TrampLinks._fields)
        return TrampLinks(*kinds)

    @property
    def flags(self) -> TrampFlag:
        """What the trampoline has to do for them."""
        links = self.links
        flags = TrampFlag.RESTORE_REGS
        if links.fexit or links.fmod_ret:
            flags = TrampFlag.CALL_ORIG | TrampFlag.SKIP_FRAME
            if self.share_ipmodify:
                flags |= TrampFlag.ORIG_STACK
        return flags | TrampFlag.IP_ARG if any(tracer.wants_ip for tracer in self.tracers) else flags


class Trampolines:
    """The trampolines of one kernel.

    Args:
        manager: of the kernel whose functions are traced.
        programs: the BPF programs.
        runs: runs them.
    """

    def __init__(self, manager: KprobeManager, programs: BpfPrograms, runs: BpfRuns) -> None:
        self._manager = manager
        self._kernel = manager.kernel
        self._machine = manager.kernel.machine
        self._ftrace = manager.kprobes.ftrace
        self._programs = programs
        self._calls = TrampolineCalls(manager.kernel, programs, runs, self._unused)
        self._functions: dict[int, _Function] = {}
        self._dying: tuple[int, ...] = ()

    # Linking

    def target(self, program: Program) -> tuple[int, int]:
        """Number of the kernel's types, and of the function among them, that a program is for."""
        func = self._kernel.btf.find(program.attach_func, BtfKind.FUNC)
        return _VMLINUX, func.id if func is not None else 0

    def link_prog(self, program: Program, cookie: int) -> None:
        """``bpf_trampoline_link_prog``: put a program on the function that it was loaded for.

        Args:
            program: of type tracing, for fentry, fexit or fmod_ret.
            cookie: what ``bpf_get_attach_cookie`` answers.

        Raises:
            LinuxError: EBUSY, the program is on its function already, or the function's entry has no nop that could
                become a call; E2BIG, 38 programs are; ENOTSUPP, it has more than 6 arguments; ENOMEM, ENOENT.
        """
        function = self._trampoline_get(program)
        if any(tracer.program == program.name for tracer in function.tracers):
            raise LinuxError(Errno.EBUSY, f"{program.name} is on {function.name} already.")
        if len(function.tracers) >= _MAX_LINKS:
            raise LinuxError(Errno.E2BIG, f"{_MAX_LINKS} programs are on {function.name}; there is no room for more.")
        before = function.tracers
        function.tracers = (self._tracer(program, cookie), *before)
        self._calls.names[program.address] = program.name
        try:
            self._update(function)
        except LinuxError:
            function.tracers = before
            raise

    def unlink_prog(self, program: Program) -> None:
        """``bpf_trampoline_unlink_prog``: take a program off its function."""
        function = self._functions[self._key(program)]
        function.tracers = tuple(tracer for tracer in function.tracers if tracer.program != program.name)
        self._update(function)

    def _key(self, program: Program) -> int:
        """``bpf_trampoline_compute_key``."""
        obj_id, btf_id = self.target(program)
        return obj_id << 32 | _BTF_KEY | btf_id

    def _trampoline_get(self, program: Program) -> _Function:
        kernel, name = self._kernel, program.attach_func
        key = self._key(program)
        if key in self._functions:
            return self._functions[key]
        found, proto = kernel.kallsyms.lookup_name(name), kernel.btf.function(name)
        if not found or proto is None:
            raise LinuxError(Errno.ENOENT, f"The address of function {name} cannot be found.")
        nr_args = sum(max(kernel.btf.size_of(one.type_id) + 7, 8) // 8 for one in proto[0])
        ops = FtraceOps(f"bpf_trampoline_{key}", "", lambda *_: 0)
        function = _Function(name, found[0].address, nr_args, ops)
        ops.ops_func = lambda comes: self._share(function, comes)
        self._functions[key] = function
        return function

    def _tracer(self, program: Program, cookie: int) -> Tracer:
        self._programs.reserve_contexts()
        jited = self._programs.jited(program.name)
        code, insnsi = self._kernel.symbol(INTERPRETER), program.address + BPF_PROG_SIZE
        if jited is not None:
            code, insnsi = jited.code.entry, 0
        link = TrampLink(program.address, code, insnsi, cookie, program.sleepable)
        wants_ip = any(insn.code == 0x85 and insn.src == 0 and insn.imm == _GET_FUNC_IP for insn in program.insns)
        return Tracer(program.name, ATTACH_KINDS[program.attach_type], link, wants_ip)

    def _share(self, function: _Function, comes: bool) -> None:
        """``bpf_tramp_ftrace_ops_func``: a user who may change ip comes to the entry, or has gone."""
        function.share_ipmodify = comes
        if function.image and TrampFlag.CALL_ORIG in function.flags:
            self._update(function)

    # Making the code

    def _update(self, function: _Function) -> None:
        """``bpf_trampoline_update``: a new page for the programs that there are now, and the entry calls that."""
        old, site = function.image, self._ftrace.ftrace_location(function.address)
        if not function.tracers:
            self._ftrace.unregister_ftrace_function(function.ops)
            function.image = function.ops.direct = 0
            self._put(old)
            return
        if site != function.address:
            raise LinuxError(
                Errno.EBUSY,
                f"There is no nop at the entry of {function.name} that could become a call.",
                hint="The profile distro has these nops, at all functions that are not notrace.",
            )
        if not old:
            function.share_ipmodify = self._ftrace.may_change_ip(site)
        function.image = self._prepare(function)
        if old:
            self._ftrace.modify_ftrace_direct_multi(function.ops, function.image)
            self._put(old)
        else:
            function.ops.direct = function.image
            self._ftrace.ftrace_set_filter_ips(function.ops, [site])
            self._ftrace.register_ftrace_function(function.ops)

    def _prepare(self, function: _Function) -> int:
        """A page with the trampoline's code; its address."""
        kernel, arena = self._kernel, self._programs.arena
        page = kernel.modules.alloc_page(function.ops.name)
        im = 0
        try:
            im = arena.alloc(_IMAGE_SIZE)
            code = arch_prepare_bpf_trampoline(
                page,
                function.nr_args,
                function.flags,
                function.links,
                function.address,
                im=im,
                resolve=kernel.symbol,
            )
        except (ArenaFull, JitError) as error:
            kernel.modules.free_page(page)
            if im:
                arena.free(im)
            errno = Errno.ENOMEM if isinstance(error, ArenaFull) else Errno.ENOTSUPP
            raise LinuxError(errno, f"{function.name} gets no trampoline: {error}") from error
        kernel.write(page, code.code.ljust(PAGE_SIZE, _INT3))
        kernel.write(im, page.to_bytes(8, "little").ljust(_IMAGE_SIZE, b"\0"))
        self._machine.flush_code()
        self._calls.images[page] = TrampImage(function.name, im, code)
        self._machine.emit(
            "trampoline.prepare",
            addr=page,
            size=len(code.code),
            func=function.name,
            progs=", ".join(f"{tracer.kind} {tracer.program}" for tracer in function.tracers),
            calls=int(TrampFlag.CALL_ORIG in code.flags),
        )
        return page

    # Giving pages back

    def _put(self, page: int) -> None:
        """``bpf_tramp_image_put``: nobody comes to a page any more; those inside leave without the programs behind the
        function, and when all have left it goes."""
        code = self._calls.images[page].code
        if code.ip_after_call:
            self._manager.text.text_poke_bp(code.ip_after_call, relative_jump(code.ip_after_call, code.ip_epilogue))
        self._dying = (*self._dying, page)
        self._call_rcu_tasks()

    def _unused(self, page: int) -> None:
        """The last call under way in a page has come back."""
        if page in self._dying:
            self._call_rcu_tasks()

    def _call_rcu_tasks(self) -> None:
        """Look in a jiffy whether anybody is still in a page; calls under way in one tell when they are back."""
        self._machine.cancel(self._collect)
        if any(not self._calls.images[page].refs for page in self._dying):
            self._machine.schedule((self._machine.ns // _JIFFY_NS + 1) * _JIFFY_NS, self._collect)

    def _collect(self) -> None:
        """Free the pages that no call is under way in, and that nobody will come back to."""
        for page in self._dying:
            image = self._calls.images[page]
            if image.refs or self._manager.text.busy or anybody_inside(self._kernel, [(page, page + PAGE_SIZE)]):
                continue
            del self._calls.images[page]
            self._dying = tuple(other for other in self._dying if other != page)
            self._programs.arena.free(image.im)
            self._kernel.modules.free_page(page)
            self._machine.emit("trampoline.free", addr=page, func=image.func)
        self._call_rcu_tasks()

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        functions = tuple(
            (key, function, function.tracers, function.image, function.share_ipmodify)
            for key, function in self._functions.items()
        )
        return functions, self._dying, self._calls.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        functions, self._dying, calls = state
        self._functions = {}
        for key, function, function.tracers, function.image, function.share_ipmodify in functions:
            self._functions[key] = function
        self._calls.restore(calls)
