"""What helpers need to know of the machine around the program."""

from typing import Protocol

from kprobesim.bpf.errors import MemoryFault

__all__ = ["BenchEnvironment", "Environment"]


class Environment(Protocol):
    """The running kernel, as helpers see it. Every answer must depend on the machine's state alone."""

    def ktime_get_ns(self) -> int:
        """Nanoseconds since boot."""
        ...

    def smp_processor_id(self) -> int:
        """Number of the CPU that the program runs on."""
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
        self.printed: list[str] = []
        self.kernel: dict[int, bytes] = {}
        self.user: dict[int, bytes] = {}
        self._random = seed & 0xFFFFFFFF or 1

    def ktime_get_ns(self) -> int:
        """See Environment; ``now``."""
        return self.now

    def smp_processor_id(self) -> int:
        """See Environment; ``cpu``."""
        return self.cpu

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
