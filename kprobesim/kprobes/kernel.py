"""What the kprobe core sees of the running kernel: symbols, kernel memory, per-CPU data, the module area."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from kprobesim.errors import ImageError, LinuxError
from kprobesim.image import Btf, Kallsyms, KernelImage, KernelTables, Symbol, SymbolOverlay, read_tables
from kprobesim.linux_errno import Errno
from kprobesim.machine import PAGE_SIZE, Hypercall, Machine, MemoryFault

__all__ = ["MODULES_VADDR", "ModuleArea", "RunningKernel", "Task"]

MODULES_VADDR: Final = 0xFFFF_FFFF_A000_0000
DIRECT_MAP: Final = 0xFFFF_8880_0000_0000
_COMM_LEN: Final = 16
_U32: Final = struct.Struct("<I")
_PAGE_MODULES: Final = {"ftrace_trampoline": "__builtin__ftrace", "bpf": "bpf"}  # bpf_trampoline_KEY


class Task:
    """A ``struct task_struct`` in guest memory.

    Args:
        kernel: where to read.
        address: of the structure.
    """

    def __init__(self, kernel: RunningKernel, address: int) -> None:
        self._kernel = kernel
        self.address = address

    @property
    def pid(self) -> int:
        """``task->pid``: what user space calls the thread id."""
        return self._kernel.read_member(self.address, "pid")

    @property
    def tgid(self) -> int:
        """``task->tgid``: what user space calls the process id."""
        return self._kernel.read_member(self.address, "tgid")

    @property
    def comm(self) -> bytes:
        """``task->comm``: 16 bytes, NUL-padded."""
        return self._kernel.read(self.address + self._kernel.task_offset("comm"), _COMM_LEN)

    @property
    def name(self) -> str:
        """The command name as text."""
        return self.comm.split(b"\0")[0].decode(errors="replace")


class RunningKernel:
    """A kernel image on a machine.

    Args:
        machine: the computer it runs on.
        image: the image it was booted from.

    Attributes:
        kallsyms: its symbols, plus those that the host adds (``kprobe_insn_page``).
        tables: its own tables: blacklist, fentry sites, hypercall stubs.
    """

    def __init__(self, machine: Machine, image: KernelImage) -> None:
        self.machine = machine
        self.image = image
        base = Kallsyms.from_image(image)
        self.kallsyms = SymbolOverlay(base)
        self.tables: KernelTables = read_tables(image, base)
        self._btf: Btf | None = None
        self._offsets: dict[str, int] = {}
        self._percpu: dict[tuple[str, int], int] = {}
        self.modules = ModuleArea(self)

    @property
    def btf(self) -> Btf:
        """The kernel's types; parsed when first asked for."""
        if self._btf is None:
            self._btf = Btf.from_image(self.image)
        return self._btf

    # Symbols

    def symbol(self, name: str) -> int:
        """Address of a symbol that every image must have.

        Raises:
            ImageError: this one has not.
        """
        found = self.kallsyms.lookup_name(name)
        if not found:
            raise ImageError(f"{self.image.name}: the image has no symbol {name}, which kprobesim relies on.")
        return found[0].address

    def has_symbol(self, name: str) -> bool:
        """Whether there is such a symbol."""
        return bool(self.kallsyms.lookup_name(name))

    # What the host plays of it

    @cached_property
    def stubs(self) -> tuple[tuple[str, int], ...]:
        """The image's functions that the host plays: name (empty: no symbol) and number of the hypercall."""
        found = ((self.kallsyms.lookup_size_offset(address), number) for address, number in self.tables.hypercalls)
        return tuple((place[0].name if place is not None else "", number) for place, number in found)

    def bind(self, functions: Mapping[str, Hypercall], deferred: Mapping[str, Hypercall] | None = None) -> None:
        """Connect the image's stubs to functions of the host, as far as these name any.

        Args:
            functions: by the stub's name.
            deferred: those that may change the kernel's code, see `Devices.deferred`.
        """
        devices = self.machine.devices
        for name, number in self.stubs:
            if name in functions:
                devices.hypercalls[number] = functions[name]
            elif deferred is not None and name in deferred:
                devices.deferred[number] = deferred[name]

    # Memory

    @property
    def root(self) -> int:
        """CR3 of the vCPU whose turn it is; the kernel's half is the same in all address spaces."""
        return self.machine.root

    def read(self, address: int, size: int) -> bytes:
        """Kernel memory.

        Raises:
            MemoryFault: not mapped.
        """
        if DIRECT_MAP <= address < DIRECT_MAP + self.machine.ram.size:
            return self.machine.ram.read(address - DIRECT_MAP, size)
        return self.machine.ram.read_virtual(self.root, address, size)

    def write(self, address: int, data: bytes) -> None:
        """Write kernel data; code is written by ``Machine.text_poke``.

        Raises:
            MemoryFault: not mapped.
        """
        if DIRECT_MAP <= address < DIRECT_MAP + self.machine.ram.size:
            self.machine.ram.write(address - DIRECT_MAP, data)
        else:
            self.machine.ram.write_virtual(self.root, address, data)

    def is_mapped(self, address: int) -> bool:
        """Whether there is memory at a virtual address."""
        try:
            return self.machine.ram.translate(self.root, address) < self.machine.ram.size
        except MemoryFault:
            return False

    def read_u64(self, address: int) -> int:
        """A 64-bit word of kernel memory."""
        return int.from_bytes(self.read(address, 8), "little")

    # Per-CPU data and tasks

    def percpu_address(self, symbol: str, cpu: int) -> int:
        """Where a CPU's copy of a per-CPU variable is; without per-CPU areas, the variable itself."""
        return self.symbol(symbol) + self._percpu_offset(cpu)

    def _percpu_offset(self, cpu: int) -> int:
        if not self.has_symbol("__per_cpu_offset"):
            return 0
        return self.read_u64(self.symbol("__per_cpu_offset") + 8 * cpu)

    def percpu_physical(self, symbol: str, cpu: int) -> int:
        """The same as a physical address, for what is read on every hit."""
        known = self._percpu.get((symbol, cpu))
        if known is not None:
            return known
        place = self.percpu_address(symbol, cpu) & (1 << 64) - 1
        physical = self.machine.ram.translate(self.root, place)
        if place == self.symbol(symbol) and self.has_symbol("__per_cpu_offset"):
            return physical  # the kernel has not laid out its per-CPU areas yet
        self._percpu[symbol, cpu] = physical
        return physical

    def preempt_count(self, cpu: int) -> int:
        """A CPU's ``__preempt_count``; 0 where the kernel has none."""
        if not self._counts_preemption:
            return 0
        count: int = _U32.unpack_from(self.machine.ram.bytes, self.percpu_physical("__preempt_count", cpu))[0]
        return count

    def preempt_count_add(self, cpu: int, value: int) -> None:
        """Change a CPU's ``__preempt_count``, where the kernel has one: it is not preempted while that is not zero."""
        if self._counts_preemption:
            place, ram = self.percpu_physical("__preempt_count", cpu), self.machine.ram.bytes
            _U32.pack_into(ram, place, _U32.unpack_from(ram, place)[0] + value & 0xFFFF_FFFF)

    @cached_property
    def _counts_preemption(self) -> bool:
        return self.has_symbol("__preempt_count")

    def current(self, cpu: int) -> Task:
        """The task that runs on a CPU."""
        return Task(self, self.machine.ram.read_u64(self.percpu_physical("current_task", cpu)))

    def task_offset(self, member: str) -> int:
        """Byte offset of a member of ``struct task_struct``.

        Raises:
            ImageError: the image's types have no such member.
        """
        if member not in self._offsets:
            place = self.btf.struct_member("task_struct", member)
            if place is None:
                raise ImageError(f"{self.image.name}: struct task_struct has no member {member}.")
            self._offsets[member] = place.offset
        return self._offsets[member]

    def read_member(self, task: int, member: str) -> int:
        """A 32-bit member of a task."""
        return int.from_bytes(self.read(task + self.task_offset(member), 4), "little")


class ModuleArea:
    """Pages for code that the host makes, within reach of a 32-bit displacement from the kernel's text.

    The kernel maps them read-only and executable at boot and says where they are.
    """

    base: Final = MODULES_VADDR

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel
        self._owners: list[str | None] = []
        self._named: tuple[Symbol, ...] = ()
        self._last_owners: dict[int, str] = {}  # never taken back: events of another time name their pages too

    def name(self, address: int) -> str:
        """What the page at an address is called, or was, or will be."""
        number = (address - MODULES_VADDR) // PAGE_SIZE
        owner = self._owners[number] if 0 <= number < len(self._owners) else None
        return owner or self._last_owners.get(number, "kprobe_insn_page")

    @property
    def pages(self) -> int:
        """How many pages the kernel has set aside; no more than there is memory, whatever it says."""
        claimed = int.from_bytes(self._kernel.read(self._kernel.symbol("module_area_pages"), 4), "little")
        return min(claimed, self._kernel.machine.ram.size // PAGE_SIZE)

    def alloc_page(self, owner: str) -> int:
        """A free page, named in kallsyms after its owner.

        Args:
            owner: the symbol, for example ``kprobe_insn_page``.

        Raises:
            LinuxError: ENOMEM, all pages are in use, or the kernel has not come to map them yet.
        """
        return self.alloc_pages(1, owner)

    def alloc_pages(self, count: int, owner: str = "") -> int:
        """Free pages that follow each other.

        Args:
            count: how many.
            owner: the symbol that each is named after; without one they have no name in kallsyms.

        Raises:
            LinuxError: as `alloc_page`.
        """
        if not self._owners:
            self._owners = [None] * self.pages
        for number in range(len(self._owners) - count + 1):
            if any(taken is not None for taken in self._owners[number : number + count]):
                continue
            address = MODULES_VADDR + number * PAGE_SIZE
            if not self._kernel.is_mapped(address):
                raise LinuxError(
                    Errno.ENOMEM, "The kernel has not mapped its module area yet.", hint="Let it boot first."
                )
            self._owners[number : number + count] = [owner] * count
            if owner:
                self._last_owners |= dict.fromkeys(range(number, number + count), owner)
            self._name_pages()
            return address
        raise LinuxError(
            Errno.ENOMEM, f"The {len(self._owners)} pages of the module area have no room for {count} more."
        )

    def free_page(self, address: int) -> None:
        """Give a page back."""
        self._owners[(address - MODULES_VADDR) // PAGE_SIZE] = None
        self._name_pages()

    def _name_pages(self) -> None:
        overlay = self._kernel.kallsyms
        for symbol in self._named:
            overlay.remove(symbol)
        self._named = tuple(
            overlay.add(
                owner,
                MODULES_VADDR + number * PAGE_SIZE,
                PAGE_SIZE,
                module=_PAGE_MODULES.get(owner.partition("_trampoline_")[0], "__builtin__kprobes"),
            )
            for number, owner in enumerate(self._owners)
            if owner
        )

    def save(self) -> object:
        """Who owns which page, and all symbols that were added."""
        return tuple(self._owners), self._named, self._kernel.kallsyms.added

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        owners, self._named, added = state
        self._owners = list(owners)
        self._kernel.kallsyms.replace(added)
