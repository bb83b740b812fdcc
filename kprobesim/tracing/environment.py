"""The running kernel as BPF programs see it: memory and the answers of helpers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kprobesim.bpf import Arena, MemoryFault
from kprobesim.errors import ImageError
from kprobesim.image import Btf
from kprobesim.kprobes import KprobeManager, PtRegs, RunningKernel
from kprobesim.kprobes.kernel import DIRECT_MAP
from kprobesim.linux_errno import Errno
from kprobesim.machine import PAGE_SIZE
from kprobesim.machine import MemoryFault as NothingMapped
from kprobesim.tracing.callchain import CallChain
from kprobesim.tracing.vmap import VMAP_BASE, map_pages

__all__ = ["Hit", "KernelEnvironment", "KernelMemory"]

_USER_END: Final = 1 << 47
_MASK32: Final = (1 << 32) - 1
_PF_EXITING: Final = 0x4
_PF_KTHREAD: Final = 0x0020_0000
_TIF_SIGPENDING: Final = 1 << 2
_NSIG: Final = 64
_SIGKILL: Final = 9
_IGNORED: Final = sum(1 << sig - 1 for sig in (17, 18, 23, 28))  # SIGCHLD, SIGCONT, SIGURG, SIGWINCH
_THREAD_SIZE: Final = 0x4000
_PT_REGS_SIZE: Final = 168
_MOST_AREAS: Final = 65536


class KernelMemory:
    """Guest memory at kernel addresses, for programs; the direct map is their fast window.

    Args:
        kernel: the running kernel.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel

    def read(self, addr: int, size: int) -> bytes:
        """``size`` bytes; MemoryFault if any of them is not mapped, or the address is a user's."""
        if addr < _USER_END:
            raise MemoryFault(addr, size, write=False)
        try:
            return self._kernel.read(addr, size)
        except NothingMapped:
            raise MemoryFault(addr, size, write=False) from None

    def write(self, addr: int, data: bytes) -> None:
        """Store bytes; MemoryFault if any of them is not mapped, or the address is a user's."""
        if addr < _USER_END:
            raise MemoryFault(addr, len(data), write=True)
        try:
            self._kernel.write(addr, data)
        except NothingMapped:
            raise MemoryFault(addr, len(data), write=True) from None

    def map_ring(self, arena: Arena, block: int, meta: int, data: int) -> int:
        """See kprobesim.bpf.memory.MappingMemory."""
        ring = VMAP_BASE + 2 * (block - DIRECT_MAP)
        shown = [*range(meta + data), *range(meta, meta + data)]
        map_pages(self._kernel, arena, ring, [block + PAGE_SIZE * page for page in shown])
        return ring

    def window(self) -> tuple[int, memoryview]:
        """The direct map, which is all of RAM."""
        return DIRECT_MAP, memoryview(self._kernel.machine.ram.bytes)


@dataclass(slots=True, eq=False)
class Hit:
    """Where a program was hit: what its helpers answer from.

    Attributes:
        cpu: number of the vCPU.
        ctx: guest address of the program's context.
        regs: guest address of the registers at the hit, which helpers follow the stack from; often the context.
        ip: what ``bpf_get_func_ip`` answers: address of the probed function, or 0.
        cookie: what ``bpf_get_attach_cookie`` answers.
    """

    cpu: int
    ctx: int
    regs: int
    ip: int
    cookie: int


class KernelEnvironment:
    """What helpers ask of the machine.

    Args:
        manager: the kprobe manager of the running kernel.
        seed: of ``bpf_get_prandom_u32``.

    Attributes:
        hit: what the program that asks runs for; set before each run and each call of a helper.
        on_printk: takes the CPU and the text of a line for the trace.
    """

    def __init__(self, manager: KprobeManager, seed: int) -> None:
        self._kernel = manager.kernel
        self._chain = CallChain(manager, self.read_user)
        self._random = seed & _MASK32 or 1
        self.hit = Hit(0, 0, 0, 0, 0)
        self.on_printk: Callable[[int, str], None] = lambda cpu, text: None

    def ktime_get_ns(self) -> int:
        """Virtual nanoseconds since power-on."""
        return self._kernel.machine.ns

    def smp_processor_id(self) -> int:
        """The vCPU's number."""
        return self.hit.cpu

    def kernel_btf(self) -> Btf | None:
        """The image's own types."""
        btf = self._kernel.btf
        return btf if len(btf) > 1 else None

    def current_pid_tgid(self) -> int:
        """``tgid << 32 | pid`` of the current task."""
        task = self._kernel.current(self.hit.cpu)
        return task.tgid << 32 | task.pid

    def current_uid_gid(self) -> int:
        """``gid << 32 | uid`` of the current task; 0 where the kernel has no credentials."""
        kernel = self._kernel
        try:
            cred = kernel.read_u64(kernel.current(self.hit.cpu).address + kernel.task_offset("cred"))
        except ImageError:
            return 0
        ids = []
        for member in ("gid", "uid"):
            place = kernel.btf.struct_member("cred", member)
            if cred == 0 or place is None:
                return 0
            ids.append(int.from_bytes(kernel.read(cred + place.offset, 4), "little"))
        return ids[0] << 32 | ids[1]

    def current_comm(self) -> bytes:
        """The current task's name."""
        return self._kernel.current(self.hit.cpu).comm.split(b"\0")[0]

    def current_task(self) -> int:
        """Address of the current ``struct task_struct``."""
        return self._kernel.current(self.hit.cpu).address

    def func_ip(self) -> int:
        """Address of the probed function; 0 if the probe is not on its entry."""
        return self.hit.ip

    def attach_cookie(self) -> int:
        """The number given when the program was attached."""
        return self.hit.cookie

    def prandom_u32(self) -> int:
        """The next of the machine's own random numbers (Marsaglia's xorshift32)."""
        word = self._random
        word ^= word << 13 & _MASK32
        word ^= word >> 17
        word ^= word << 5 & _MASK32
        self._random = word
        return word

    def trace_printk(self, text: str) -> None:
        """A line for trace_pipe."""
        self._kernel.machine.emit("trace.printk", text=text.rstrip("\n"))
        self.on_printk(self.hit.cpu, text)

    def read_kernel(self, addr: int, size: int) -> bytes:
        """Kernel memory; MemoryFault where nothing is mapped."""
        return KernelMemory(self._kernel).read(addr, size)

    def read_user(self, addr: int, size: int) -> bytes:
        """Memory of the current task's user side; MemoryFault where nothing is mapped."""
        machine = self._kernel.machine
        if addr + size > _USER_END:
            raise MemoryFault(addr, size, write=False)
        try:
            return machine.ram.read_virtual(self._kernel.root, addr, size)
        except NothingMapped:
            raise MemoryFault(addr, size, write=False) from None

    def write_user(self, addr: int, data: bytes) -> None:
        """Write the current task's user memory; MemoryFault where nothing is mapped."""
        if addr + len(data) > _USER_END:
            raise MemoryFault(addr, len(data), write=True)
        try:
            self._kernel.machine.ram.write_virtual(self._kernel.root, addr, data)
        except NothingMapped:
            raise MemoryFault(addr, len(data), write=True) from None

    def read_task(self, task: int, addr: int, size: int) -> bytes:
        """User memory of any task, by the page tables of its ``mm``."""
        kernel = self._kernel
        if addr + size > _USER_END:
            raise MemoryFault(addr, size, write=False)
        try:
            mm = kernel.read_u64(task + kernel.task_offset("mm"))
            place = kernel.btf.struct_member("mm_struct", "pgd")
            if not mm or place is None:
                raise MemoryFault(addr, size, write=False)
            root = kernel.machine.ram.translate(kernel.root, kernel.read_u64(mm + place.offset))
            return kernel.machine.ram.read_virtual(root, addr, size)
        except (NothingMapped, ImageError):
            raise MemoryFault(addr, size, write=False) from None

    # The machine

    def num_possible_cpus(self) -> int:
        """How many vCPUs there are."""
        return len(self._kernel.machine.cpus)

    def instructions(self) -> int:
        """The machine's clock."""
        return self._kernel.machine.insn

    def tell(self, kind: str, **fields: Any) -> None:
        """An event."""
        self._kernel.machine.emit(kind, **fields)

    def percpu_offset(self, cpu: int) -> int:
        """``__per_cpu_offset[cpu]``; 0 where the kernel has no such table."""
        kernel = self._kernel
        if not kernel.has_symbol("__per_cpu_offset"):
            return 0
        return kernel.read_u64(kernel.symbol("__per_cpu_offset") + 8 * cpu)

    def symbol(self, addr: int, offset: bool) -> str:
        """As ``sprint_symbol`` and ``sprint_symbol_no_offset`` write an address."""
        found = self._kernel.kallsyms.lookup_size_offset(addr)
        if found is None:
            return f"0x{addr:x}"
        return self._kernel.kallsyms.sprint_symbol(addr) if offset else found[0].name

    # Stacks

    def _regs(self, ctx: int) -> PtRegs | None:
        kernel = self._kernel
        try:
            return PtRegs(kernel.machine.ram, kernel.root, ctx, self.hit.cpu)
        except NothingMapped:
            return None

    def callchain(self, ctx: int, user: bool, depth: int) -> Sequence[int] | None:
        """The frames below the registers at ``ctx``, or those of the user's program that the task runs."""
        task = self.current_task()
        if user and not self._mm(task):
            return None
        kernel = self.hit.regs if ctx == self.hit.ctx else ctx
        regs = self._regs(self.task_pt_regs(task) if user else kernel)
        if regs is None:
            return None
        return self._chain.user(regs, depth) if user else self._chain.kernel(regs, depth)

    def task_callchain(self, task: int, depth: int) -> Sequence[int] | None:
        """The frames of a task that sleeps; of the current one none but those below where a program runs are known."""
        if task == self.current_task():
            regs = self._regs(self.hit.regs)
            return None if regs is None else self._chain.kernel(regs, depth)
        return self._chain.sleeping(task, depth)

    # Tasks

    def _member(self, task: int, member: str, size: int = 8) -> int:
        """A member of a task; 0 where the kernel's tasks have none of that name."""
        try:
            place = task + self._kernel.task_offset(member)
            return int.from_bytes(self._kernel.read(place, size), "little")
        except (ImageError, NothingMapped):
            return 0

    def _mm(self, task: int) -> int:
        return self._member(task, "mm")

    def task_pt_regs(self, task: int) -> int:
        """At the top of the task's kernel stack."""
        return self._member(task, "stack") + _THREAD_SIZE - _PT_REGS_SIZE

    def send_signal(self, sig: int) -> int:
        """Set the bit of a signal in ``pending``, and the flag that makes the task look (bpf_send_signal_common)."""
        kernel, task = self._kernel, self.current_task()
        if self._member(task, "flags", 4) & (_PF_KTHREAD | _PF_EXITING) or self._member(task, "pid", 4) == 1:
            return -Errno.EPERM
        if sig > _NSIG:
            return -Errno.EINVAL
        bit = 1 << sig - 1 if sig else 0
        caught, ignored, blocked = (self._member(task, name) for name in ("sig_caught", "sig_ignored", "blocked"))
        if sig == _SIGKILL:
            ignored = blocked = 0
        elif not bit & caught:
            ignored |= _IGNORED
        if not bit or bit & ignored & ~blocked:
            return 0
        pending, flags = kernel.task_offset("pending"), kernel.task_offset("thread_info.flags")
        kernel.write(task + pending, (self._member(task, "pending") | bit).to_bytes(8, "little"))
        if not bit & blocked:
            raised = kernel.read_u64(task + flags) | _TIF_SIGPENDING
            kernel.write(task + flags, raised.to_bytes(8, "little"))
        self.tell("bpf.signal", sig=sig, pid=self._member(task, "pid", 4))
        return 0

    def override_return(self, ctx: int, value: int) -> None:
        """Let the interrupted function return: rax, and rip to ``just_return_func`` (override_function_with_return)."""
        regs = self._regs(ctx)
        if regs is not None:
            regs.ax, regs.ip = value, self._kernel.symbol("just_return_func")
            self.tell("bpf.override", retval=value)

    def find_vma(self, task: int, addr: int) -> int:
        """The area that contains an address, out of the list of the task's ``mm``."""
        kernel = self._kernel
        try:
            head = self._mm(task)
            places = [kernel.btf.struct_member("vm_area_struct", name) for name in ("vm_list", "vm_start", "vm_end")]
            if not head or not all(places):
                return 0
            link, start, end = (place.offset for place in places if place is not None)
            node = kernel.read_u64(head)
            for _ in range(_MOST_AREAS):
                vma = node - link
                if node == head or kernel.read_u64(vma + start) > addr:
                    return 0
                if addr < kernel.read_u64(vma + end):
                    return vma
                node = kernel.read_u64(node)
        except (NothingMapped, ImageError):
            pass
        return 0

    def save(self) -> object:
        """The state of the random numbers, and who ran last."""
        return self._random, self.hit

    def restore(self, state: Any) -> None:
        """Put back what `save` gave."""
        self._random, self.hit = state
