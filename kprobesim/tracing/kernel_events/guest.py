"""What events read in the guest's structures, by the kernel's own types."""

from __future__ import annotations

from typing import Final

from kprobesim.errors import ImageError
from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.machine import MemoryFault, VCpu
from kprobesim.tracing.symbols import hashed_pointer

__all__ = ["Guest"]

_NAME_MAX: Final = 256
_ARGUMENTS: Final = ("di", "si", "dx", "r10", "r8", "r9")


class Guest:
    """The kernel's structures and symbols, as the events of tracepoints want them.

    Args:
        kernel: whose.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self.kernel = kernel
        self._places: dict[tuple[str, str], tuple[int, int]] = {}

    def member(self, struct: str, address: int, path: str) -> int:
        """A member of a structure, as an unsigned number.

        Args:
            struct: the structure's tag.
            address: where it is; one that cannot be read gives 0, as in an event nobody should lose the machine.
            path: of the member, ``a.b`` for one inside another.
        """
        key = struct, path
        if key not in self._places:
            place = self.kernel.btf.struct_member(struct, path)
            if place is None:
                raise ImageError(f"{self.kernel.image.name}: struct {struct} has no member {path}.")
            self._places[key] = place.offset, place.size
        offset, size = self._places[key]
        try:
            return int.from_bytes(self.kernel.read(address + offset, size), "little")
        except MemoryFault:
            return 0

    def text(self, address: int) -> bytes:
        """A string of at most 255 bytes, without its NUL; ``(null)`` for no string, as the kernel prints it."""
        if not address:
            return b"(null)"
        found = b""
        while len(found) < _NAME_MAX:
            room = min(_NAME_MAX - len(found), 4096 - (address + len(found) & 4095))
            try:
                piece = self.kernel.read(address + len(found), room)
            except MemoryFault:
                break
            found += piece
            if b"\0" in piece:
                break
        return found.split(b"\0")[0][: _NAME_MAX - 1]

    # Tasks

    def comm(self, task: int) -> bytes:
        """``task->comm``."""
        return self.kernel.read(task + self.kernel.task_offset("comm"), 16)

    def pid(self, task: int) -> int:
        """``task->pid``."""
        return self.member("task_struct", task, "pid")

    def prio(self, task: int) -> int:
        """``task->prio``."""
        return self.member("task_struct", task, "prio")

    def task_cpu(self, task: int) -> int:
        """``task_cpu()``."""
        return self.member("task_struct", task, "thread_info.cpu")

    def current(self, cpu: VCpu) -> int:
        """Address of the task that runs on a CPU."""
        return self.kernel.current(cpu.number).address

    # Registers

    def regs(self, cpu: VCpu, address: int) -> PtRegs:
        """The ``struct pt_regs`` at an address."""
        return PtRegs(self.kernel.machine.ram, cpu.root, address, cpu.number)

    def syscall_arguments(self, cpu: VCpu, address: int) -> tuple[int, ...]:
        """``syscall_get_arguments``: the six registers of a system call."""
        regs = self.regs(cpu, address)
        return tuple(int(getattr(regs, name)) for name in _ARGUMENTS)

    # As the kernel prints

    def pointer(self, address: int) -> str:
        """``%p``."""
        return hashed_pointer(self.kernel, address)

    def symbol(self, address: int) -> str:
        """``%ps``: the function's name, or the number where there is none."""
        place = self.kernel.kallsyms.lookup_size_offset(address)
        return place[0].name if place else f"0x{address:x}"

    def symbol_offset(self, address: int) -> str:
        """``%pS``: with offset and size."""
        return self.kernel.kallsyms.sprint_symbol(address)
