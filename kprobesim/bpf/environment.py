"""What helpers need to know of the machine around the program."""

from collections.abc import Sequence
from typing import Any, Protocol

from kprobesim.bpf.errors import MemoryFault
from kprobesim.image.btf import Btf
from kprobesim.linux_errno import Errno

__all__ = ["BenchEnvironment", "Environment", "MapHost"]


class MapHost(Protocol):
    """The machine, as far as maps need to know it."""

    def num_possible_cpus(self) -> int:
        """How many CPUs there are."""
        ...

    def smp_processor_id(self) -> int:
        """Number of the CPU that runs; 0 where it is user space that acts."""
        ...

    def ktime_get_ns(self) -> int:
        """Nanoseconds since boot."""
        ...

    def instructions(self) -> int:
        """How many instructions the machine has executed: what its performance counters count."""
        ...

    def tell(self, kind: str, **fields: Any) -> None:
        """Something happened to a map that is worth an event."""
        ...


class Environment(MapHost, Protocol):
    """The running kernel, as helpers see it. Every answer must depend on the machine's state alone."""

    def kernel_btf(self) -> Btf | None:
        """The kernel's types (``btf_vmlinux``); None for a kernel without."""
        ...

    def current_pid_tgid(self) -> int:
        """``tgid << 32 | pid`` of the current task."""
        ...

    def current_uid_gid(self) -> int:
        """``gid << 32 | uid`` of the current task."""
        ...

    def current_comm(self) -> bytes:
        """Name of the current task, at most 15 bytes, without the closing zero."""
        ...

    def current_task(self) -> int:
        """Guest address of the current task's ``struct task_struct``."""
        ...

    def func_ip(self) -> int:
        """Address of the probed function; 0 where the probe is not on a function's entry."""
        ...

    def attach_cookie(self) -> int:
        """The 64-bit number given when the program was attached."""
        ...

    def prandom_u32(self) -> int:
        """The next 32 bits of the machine's seeded random numbers."""
        ...

    def trace_printk(self, text: str) -> None:
        """A formatted line for the trace buffer, as the program gave it (with or without a newline)."""
        ...

    def read_kernel(self, addr: int, size: int) -> bytes:
        """Kernel memory; MemoryFault if any byte cannot be read."""
        ...

    def read_user(self, addr: int, size: int) -> bytes:
        """Memory of the current task's user side; MemoryFault if any byte cannot be read."""
        ...

    def write_user(self, addr: int, data: bytes) -> None:
        """Write the current task's user memory; MemoryFault if that is not allowed there."""
        ...

    def read_task(self, task: int, addr: int, size: int) -> bytes:
        """User memory of any task, by address of its ``struct task_struct``; MemoryFault as above."""
        ...

    def callchain(self, ctx: int, user: bool, depth: int) -> Sequence[int] | None:
        """Return addresses, innermost first: of the kernel's frames or the program's (get_perf_callchain).

        Args:
            ctx: guest address of the ``struct pt_regs`` to begin with.
            user: whether it is the user side's stack.
            depth: at most so many.

        Returns:
            None where there is nothing to walk along.
        """
        ...

    def task_callchain(self, task: int, depth: int) -> Sequence[int] | None:
        """Return addresses of a task's kernel stack; None for a task that has none."""
        ...

    def task_pt_regs(self, task: int) -> int:
        """Address of the registers that a task entered the kernel with."""
        ...

    def percpu_offset(self, cpu: int) -> int:
        """What to add to a per-CPU address for a CPU's own copy."""
        ...

    def send_signal(self, sig: int) -> int:
        """Make a signal pending for the current task; 0 or a negative errno."""
        ...

    def override_return(self, ctx: int, value: int) -> None:
        """Make the probed function return ``value`` at once (override_function_with_return)."""
        ...

    def symbol(self, addr: int, offset: bool) -> str:
        """A kernel address by name, as ``%ps`` and ``%pS`` print it."""
        ...

    def find_vma(self, task: int, addr: int) -> int:
        """Address of the ``struct vm_area_struct`` that contains ``addr``; 0 if there is none."""
        ...


class BenchEnvironment:
    """A still world for tests and for running a program without a machine. Set the attributes as needed."""

    def __init__(self, seed: int = 1) -> None:
        self.now = 0
        self.cpu = 0
        self.pid_tgid = 1 << 32 | 1
        self.uid_gid = 0
        self.comm = b"bench"
        self.task = 0
        self.ip = 0
        self.cookie = 0
        self.cpus = 1
        self.printed: list[str] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.signals: list[int] = []
        self.overridden: list[tuple[int, int]] = []
        self.frames: list[int] | None = []
        self.user_frames: list[int] | None = []
        self.symbols: dict[int, str] = {}
        self.counted = 0
        self.btf: Btf | None = None
        self.kernel: dict[int, bytes] = {}
        self.user: dict[int, bytes] = {}
        self._random = seed & 0xFFFFFFFF or 1

    def num_possible_cpus(self) -> int:
        """See MapHost; ``cpus``."""
        return self.cpus

    def tell(self, kind: str, **fields: Any) -> None:
        """See MapHost; appended to ``told``."""
        self.told.append((kind, fields))

    def instructions(self) -> int:
        """See MapHost; ``counted``."""
        return self.counted

    def ktime_get_ns(self) -> int:
        """See Environment; ``now``."""
        return self.now

    def smp_processor_id(self) -> int:
        """See Environment; ``cpu``."""
        return self.cpu

    def kernel_btf(self) -> Btf | None:
        """See Environment; ``btf``."""
        return self.btf

    def current_pid_tgid(self) -> int:
        """See Environment; ``pid_tgid``."""
        return self.pid_tgid

    def current_uid_gid(self) -> int:
        """See Environment; ``uid_gid``."""
        return self.uid_gid

    def current_comm(self) -> bytes:
        """See Environment; ``comm``."""
        return self.comm

    def current_task(self) -> int:
        """See Environment; ``task``."""
        return self.task

    def func_ip(self) -> int:
        """See Environment; ``ip``."""
        return self.ip

    def attach_cookie(self) -> int:
        """See Environment; ``cookie``."""
        return self.cookie

    def prandom_u32(self) -> int:
        """See Environment; Marsaglia's xorshift32."""
        word = self._random
        word ^= word << 13 & 0xFFFFFFFF
        word ^= word >> 17
        word ^= word << 5 & 0xFFFFFFFF
        self._random = word
        return word

    def trace_printk(self, text: str) -> None:
        """See Environment; appended to ``printed``."""
        self.printed.append(text)

    def read_kernel(self, addr: int, size: int) -> bytes:
        """See Environment; from ``kernel``, a dict of address -> bytes."""
        return _find(self.kernel, addr, size)

    def read_user(self, addr: int, size: int) -> bytes:
        """See Environment; from ``user``, a dict of address -> bytes."""
        return _find(self.user, addr, size)

    def write_user(self, addr: int, data: bytes) -> None:
        """See Environment; into ``user``."""
        for base, old in self.user.items():
            if base <= addr and addr + len(data) <= base + len(old):
                self.user[base] = old[: addr - base] + data + old[addr - base + len(data) :]
                return
        raise MemoryFault(addr, len(data), write=True)

    def read_task(self, task: int, addr: int, size: int) -> bytes:
        """See Environment; ``user``, whoever asks."""
        return _find(self.user, addr, size)

    def callchain(self, ctx: int, user: bool, depth: int) -> Sequence[int] | None:
        """See Environment; ``frames`` or ``user_frames``."""
        found = self.user_frames if user else self.frames
        return None if found is None else found[:depth]

    def task_callchain(self, task: int, depth: int) -> Sequence[int] | None:
        """See Environment; ``frames``."""
        return None if self.frames is None else self.frames[:depth]

    def task_pt_regs(self, task: int) -> int:
        """See Environment; a page above the task."""
        return task + 4096

    def percpu_offset(self, cpu: int) -> int:
        """See Environment; 4 KiB for each CPU."""
        return 4096 * cpu

    def send_signal(self, sig: int) -> int:
        """See Environment; appended to ``signals``."""
        if sig > 64:
            return -Errno.EINVAL
        self.signals.append(sig)
        return 0

    def override_return(self, ctx: int, value: int) -> None:
        """See Environment; appended to ``overridden``."""
        self.overridden.append((ctx, value))

    def symbol(self, addr: int, offset: bool) -> str:
        """See Environment; from ``symbols``, else the bare number."""
        name = self.symbols.get(addr)
        return f"0x{addr:x}" if name is None else f"{name}+0x0" if offset else name

    def find_vma(self, task: int, addr: int) -> int:
        """See Environment; there are no areas."""
        return 0

    def save(self) -> object:
        """The random numbers' state and how much was printed."""
        return self._random, tuple(self.printed)

    def restore(self, state: object) -> None:
        """Put back what ``save`` gave."""
        assert isinstance(state, tuple)
        self._random, self.printed = state[0], list(state[1])


def _find(stretches: dict[int, bytes], addr: int, size: int) -> bytes:
    for base, data in stretches.items():
        if base <= addr and addr + size <= base + len(data):
            return data[addr - base : addr - base + size]
    raise MemoryFault(addr, size, write=False)
