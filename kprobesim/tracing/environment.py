"""The running kernel as BPF programs see it: memory and the answers of helpers."""

from __future__ import annotations

from collections.abc import Callable

from kprobesim.bpf import MemoryFault
from kprobesim.errors import ImageError
from kprobesim.kprobes import RunningKernel
from kprobesim.kprobes.kernel import DIRECT_MAP
from kprobesim.machine import MemoryFault as NothingMapped

__all__ = ["KernelEnvironment", "KernelMemory"]

_USER_END = 1 << 47
_MASK32 = (1 << 32) - 1


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

    def window(self) -> tuple[int, memoryview]:
        """The direct map, which is all of RAM."""
        return DIRECT_MAP, memoryview(self._kernel.machine.ram.bytes)


class KernelEnvironment:
    """What helpers ask of the machine.

    Args:
        kernel: the running kernel.
        seed: of ``bpf_get_prandom_u32``.

    Attributes:
        cpu: number of the vCPU that the program runs on; set before each run.
        ip: address of the probed function, or 0; set before each run.
        cookie: set before each run.
        on_printk: takes the CPU and the text of a line for the trace.
    """

    def __init__(self, kernel: RunningKernel, seed: int) -> None:
        self._kernel = kernel
        self._random = seed & _MASK32 or 1
        self.cpu = 0
        self.ip = 0
        self.cookie = 0
        self.on_printk: Callable[[int, str], None] = lambda cpu, text: None

    def ktime_get_ns(self) -> int:
        """Virtual nanoseconds since power-on."""
        return self._kernel.machine.ns

    def smp_processor_id(self) -> int:
        """The vCPU's number."""
        return self.cpu

    def current_pid_tgid(self) -> int:
        """``tgid << 32 | pid`` of the current task."""
        task = self._kernel.current(self.cpu)
        return task.tgid << 32 | task.pid

    def current_uid_gid(self) -> int:
        """``gid << 32 | uid`` of the current task; 0 where the kernel has no credentials."""
        kernel = self._kernel
        try:
            cred = kernel.read_u64(kernel.current(self.cpu).address + kernel.task_offset("cred"))
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
        return self._kernel.current(self.cpu).comm.split(b"\0")[0]

    def current_task(self) -> int:
        """Address of the current ``struct task_struct``."""
        return self._kernel.current(self.cpu).address

    def func_ip(self) -> int:
        """Address of the probed function; 0 if the probe is not on its entry."""
        return self.ip

    def attach_cookie(self) -> int:
        """The number given when the program was attached."""
        return self.cookie

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
        self.on_printk(self.cpu, text)

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

    def save(self) -> int:
        """The state of the random numbers."""
        return self._random

    def restore(self, state: int) -> None:
        """Put back what `save` gave."""
        self._random = state
