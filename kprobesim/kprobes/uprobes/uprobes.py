"""The table of uprobes, and the host's part of a hit.

Follows Linux 6.1 kernel/events/uprobes.c. A breakpoint is put into a process's page when the process first touches it
(the guest asks); pages that are there already are taken from it, so that it touches them anew. Both without the
process, and whoever it forks, noticing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes.jump_label import JumpLabels
from kprobesim.kprobes.kernel import DIRECT_MAP, RunningKernel
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.kprobes.uprobes.arch import ArchUprobe, analyze_insn
from kprobesim.kprobes.uprobes.files import GuestFile, GuestFiles
from kprobesim.linux_errno import Errno
from kprobesim.machine import PAGE_SIZE, Answer, Hypercall, VCpu, each, then

__all__ = ["Uprobe", "UprobeConsumer", "Uprobes"]

_INT3: Final = b"\xcc"
_MAX_UINSN_BYTES: Final = 16
_VM_WRITE, _VM_EXEC, _VM_SHARED = 2, 4, 8
_PRESENT: Final = 1
_ADDRESS: Final = 0x000F_FFFF_FFFF_F000
_KEY: Final = "uprobes_enabled_key"


@dataclass(eq=False)
class UprobeConsumer:
    """``struct uprobe_consumer``: somebody who wants to know of a uprobe's hits.

    Attributes:
        handler: called with the registers before the instruction runs; ``ip`` is its address.
        ret_handler: called when the function that begins there returns, with the function and the registers; ``ip`` is
            where it returns to.

    What they answer may come by way of the guest; its value says nothing.
    """

    handler: Callable[[PtRegs], Answer | None] | None = None
    ret_handler: Callable[[int, PtRegs], Answer | None] | None = None


@dataclass(eq=False)
class Uprobe:
    """``struct uprobe``: one probed place of a file.

    Attributes:
        number: what the guest knows it by.
        file, offset: the place.
        name: what events call it.
        consumers: the latest first.
        arch: the instruction, once a process maps it.
    """

    number: int
    file: GuestFile
    offset: int
    name: str
    consumers: tuple[UprobeConsumer, ...] = ()
    arch: ArchUprobe | None = field(default=None)


class Uprobes:
    """All uprobes of one kernel.

    Args:
        kernel: the running kernel; its uprobe stubs are bound here.
        jump_labels: for the key that tells the kernel that there are uprobes at all.

    Attributes:
        files: the guest's files.
    """

    def __init__(self, kernel: RunningKernel, jump_labels: JumpLabels) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self._jump_labels = jump_labels
        self.files = GuestFiles(kernel)
        self._table: dict[tuple[int, int], Uprobe] = {}
        self._numbers: dict[int, Uprobe] = {}
        self._next = 1
        self._bind()

    def _bind(self) -> None:
        functions: dict[str, Hypercall] = {
            "find_uprobe": self._find_uprobe,
            "vma_has_uprobes": self._vma_has_uprobes,
            "consumers_handler": self._handler_chain,
            "consumers_ret_handler": self._handle_uretprobe_chain,
            "emulate_insn": self._emulate_insn,
        }
        # Both write code.
        deferred: dict[str, Hypercall] = {
            "install_breakpoints": self._install_breakpoints,
            "arch_uprobe_copy_ixol": self._copy_ixol,
        }
        self._kernel.bind(functions, deferred)

    def __iter__(self) -> Iterator[Uprobe]:
        """All of them, in the order of registration."""
        return iter(self._table.values())

    # Registering

    def uprobe_register(self, file: GuestFile, offset: int, consumer: UprobeConsumer, name: str = "") -> Uprobe:
        """Have a consumer told of each hit of a place in a file, in all processes, now and to come.

        Args:
            file: of the guest.
            offset: in it, in bytes.
            consumer: with a handler, a ret_handler or both.
            name: what events call the place.

        Raises:
            LinuxError: EINVAL, no handler, or an offset behind the file's end; EIO, not a file with contents; ENOTSUPP
                or ENOEXEC, a process runs the file and the instruction cannot be stepped; ENOSYS, the kernel has no
                uprobes.
        """
        if not self._kernel.has_symbol(_KEY):
            raise LinuxError(Errno.ENOSYS, "This kernel has no uprobes.")
        if consumer.handler is None and consumer.ret_handler is None:
            raise LinuxError(Errno.EINVAL, "A consumer has a handler, a ret_handler or both.")
        if not file.is_regular:
            raise LinuxError(Errno.EIO, "Only a file with contents can be probed.")
        if offset > file.size:
            raise LinuxError(Errno.EINVAL, f"The file ends at {file.size:#x}, before {offset:#x}.")
        key = file.inode, offset
        uprobe = self._table.get(key)
        if uprobe is None:
            uprobe = Uprobe(self._next, file, offset, name)
            self._apply(uprobe, install=True)
            self._next += 1
            if not self._table:
                self._jump_labels.static_key_slow_inc(self._kernel.symbol(_KEY))
            self._table[key] = self._numbers[uprobe.number] = uprobe
        uprobe.consumers = (consumer, *uprobe.consumers)
        self._machine.emit("uprobe.register", **self._fields(uprobe))
        return uprobe

    def uprobe_unregister(self, uprobe: Uprobe, consumer: UprobeConsumer) -> None:
        """The reverse; with the last consumer the instruction goes back into every process's page."""
        uprobe.consumers = tuple(other for other in uprobe.consumers if other is not consumer)
        if uprobe.consumers:
            return
        del self._table[uprobe.file.inode, uprobe.offset], self._numbers[uprobe.number]
        self._apply(uprobe, install=False)
        if not self._table:
            self._jump_labels.static_key_slow_dec(self._kernel.symbol(_KEY))
        self._machine.emit("uprobe.unregister", **self._fields(uprobe))

    def _fields(self, uprobe: Uprobe) -> dict[str, Any]:
        return {"uprobe": uprobe.name, "offset": uprobe.offset}

    def _prepare(self, uprobe: Uprobe) -> ArchUprobe:
        """``prepare_uprobe``: take the instruction apart, once somebody maps it."""
        if uprobe.arch is None:
            code = self.files.read(uprobe.file.inode, uprobe.offset, _MAX_UINSN_BYTES)
            uprobe.arch = analyze_insn(code, uprobe.offset)
        return uprobe.arch

    # Processes that run the file already

    def _apply(self, uprobe: Uprobe, *, install: bool) -> None:
        """``register_for_each_vma``."""
        places = list(self._mappings(uprobe))
        if install and places:
            self._prepare(uprobe)
        for mm, address in places:
            self._touch(uprobe, mm, address, install=install)

    def _mappings(self, uprobe: Uprobe) -> Iterator[tuple[int, int]]:
        """Each address space that maps the place, and where (``build_map_info``)."""
        files, kernel = self.files, self._kernel
        seen: set[int] = set()
        tasks = kernel.symbol("init_task") + files.place("task_struct", "tasks")[0]
        for task in files.entries(tasks, "task_struct", "tasks"):
            mm = files.member("task_struct", task, "mm")
            if not mm or mm in seen:
                continue
            seen.add(mm)
            for vma in files.entries(mm + files.place("mm_struct", "mmap")[0], "vm_area_struct", "vm_list"):
                found = self._address_in(uprobe, vma)
                if found is not None:
                    yield mm, found

    def _address_in(self, uprobe: Uprobe, vma: int) -> int | None:
        def of(name: str) -> int:
            return self.files.member("vm_area_struct", vma, name)

        file = of("vm_file")
        if not file or of("vm_flags") & (_VM_EXEC | _VM_WRITE | _VM_SHARED) != _VM_EXEC:
            return None
        dentry = self.files.member("file", file, "f_path.dentry")
        if self.files.member("dentry", dentry, "d_inode") != uprobe.file.inode:
            return None
        address = of("vm_start") + uprobe.offset - of("vm_pgoff") * PAGE_SIZE
        return address if of("vm_start") <= address < of("vm_end") else None

    def _touch(self, uprobe: Uprobe, mm: int, address: int, *, install: bool) -> None:
        """A page that is the file's own is taken away; the process's copy of one is changed where it is."""
        files, ram = self.files, self._machine.ram
        root = files.member("mm_struct", mm, "pgd") - DIRECT_MAP
        entry = self._page_table_entry(root, address)
        if entry is None:
            return
        physical = ram.read_u64(entry) & _ADDRESS
        if physical == files.page(uprobe.file.inode, uprobe.offset // PAGE_SIZE):
            if install:
                self._zap(mm, entry, physical)
            return
        assert uprobe.arch is not None
        ram.write(physical + address % PAGE_SIZE, _INT3 if install else uprobe.arch.insn[:1])
        self._flush()
        kind = "uprobe.install" if install else "uprobe.remove"
        self._machine.emit(kind, **self._fields(uprobe), page=physical)

    def _zap(self, mm: int, entry: int, physical: int) -> None:
        """Take a page from a process; the fault that follows brings it a copy with the breakpoint."""
        files = self.files
        self._machine.ram.write(entry, bytes(8))
        page = files.phys_to_page(physical)
        files.set_member("page", page, "_refcount", files.member("page", page, "_refcount") - 1)
        files.set_member("mm_struct", mm, "rss", files.member("mm_struct", mm, "rss") - 1)
        for cpu in self._machine.cpus:
            cpu.engine.flush_tlb()
        self._flush()

    def _page_table_entry(self, root: int, address: int) -> int | None:
        """Physical address of the last-level entry of a page that is present."""
        ram, table = self._machine.ram, root & _ADDRESS
        for shift in (39, 30, 21):
            entry = ram.read_u64(table + 8 * (address >> shift & 511))
            if not entry & _PRESENT:
                return None
            table = entry & _ADDRESS
        at = table + 8 * (address >> 12 & 511)
        return at if ram.read_u64(at) & _PRESENT else None

    def _flush(self) -> None:
        for cpu in self._machine.cpus:
            cpu.engine.flush_code()

    # What the guest asks

    def _find_uprobe(self, cpu: VCpu, inode: int, offset: int, _: int) -> int:
        uprobe = self._table.get((inode, offset))
        return uprobe.number if uprobe is not None and uprobe.arch is not None else 0

    def _vma_has_uprobes(self, cpu: VCpu, inode: int, start: int, end: int) -> int:
        return int(any(known == inode and start <= offset < end for known, offset in self._table))

    def _install_breakpoints(self, cpu: VCpu, kaddr: int, inode: int, start: int) -> int:
        """``install_breakpoint`` for each place in a page that a process has just been given a copy of."""
        physical = self._machine.ram.translate(cpu.root, kaddr)
        for (known, offset), uprobe in list(self._table.items()):
            if known != inode or not start <= offset < start + PAGE_SIZE:
                continue
            try:
                self._prepare(uprobe)
            except LinuxError:
                # As in Linux, nobody is told: the process just runs without this breakpoint.
                continue
            self._machine.ram.write(physical + offset - start, _INT3)
            self._machine.emit("uprobe.install", **self._fields(uprobe), page=physical)
        self._flush()
        return 0

    def _by_number(self, number: int) -> Uprobe | None:
        return self._numbers.get(number)

    def _handler_chain(self, cpu: VCpu, number: int, regs_at: int, _: int) -> Answer:
        """``handler_chain``.

        Returns:
            1 if somebody wants to know of the return too.
        """
        uprobe = self._by_number(number)
        if uprobe is None:
            return 0
        regs = PtRegs(self._machine.ram, cpu.root, regs_at, cpu.number)
        self._machine.emit("uprobe.hit", **self._fields(uprobe), ip=regs.ip)
        handlers = [consumer.handler for consumer in uprobe.consumers if consumer.handler is not None]
        wants_return = int(any(consumer.ret_handler is not None for consumer in uprobe.consumers))
        return then(each(handler(regs) for handler in handlers), lambda _: wants_return)

    def _handle_uretprobe_chain(self, cpu: VCpu, ri: int, regs_at: int, _: int) -> Answer:
        """``handle_uretprobe_chain``."""
        uprobe = self._by_number(self.files.member("return_instance", ri, "uprobe"))
        if uprobe is None:
            return 0
        func = self.files.member("return_instance", ri, "func")
        regs = PtRegs(self._machine.ram, cpu.root, regs_at, cpu.number)
        self._machine.emit("uprobe.return", **self._fields(uprobe), func=func, ip=regs.ip)
        handlers = [consumer.ret_handler for consumer in uprobe.consumers if consumer.ret_handler is not None]
        return each(handler(func, regs) for handler in handlers)

    def _emulate_insn(self, cpu: VCpu, number: int, regs_at: int, push_at: int) -> int:
        """``arch_uprobe_skip_sstep``, but for the word that is pushed: that the guest does."""
        uprobe = self._by_number(number)
        if uprobe is None or uprobe.arch is None:
            # Removed by a handler: the restart finds the real instruction.
            return 1
        if uprobe.arch.emulate is None:
            return 0
        regs = PtRegs(self._machine.ram, cpu.root, regs_at, cpu.number)
        pushed = uprobe.arch.emulate(regs)
        if pushed is not None:
            self._machine.ram.write_virtual(cpu.root, push_at, pushed.to_bytes(8, "little"))
        self._machine.emit("uprobe.emulate", **self._fields(uprobe), insn=uprobe.arch.text, ip=regs.ip)
        return 1

    def _copy_ixol(self, cpu: VCpu, number: int, kaddr: int, vaddr: int) -> int:
        """``arch_uprobe_copy_ixol``: fill a slot with the changed instruction, or for number 0 the trampoline's int3.

        Returns:
            The fix-ups, and in the second byte the length of the original.
        """
        ram = self._machine.ram
        uprobe = self._by_number(number) if number else None
        arch = uprobe.arch if uprobe is not None else None
        code = arch.ixol if arch is not None else _INT3
        physical = ram.translate(cpu.root, kaddr)
        if ram.read(physical, len(code)) != code:
            ram.write(physical, code)
            for other in self._machine.cpus:
                if other is cpu:
                    other.engine.forget_code(vaddr, _MAX_UINSN_BYTES)
                else:
                    other.engine.flush_code()
        if uprobe is None or arch is None:
            return 0
        self._machine.emit("uprobe.singlestep", **self._fields(uprobe), page=physical & _ADDRESS, copy=code)
        return int(arch.fixups) | len(arch.insn) << 8

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return tuple((uprobe, uprobe.consumers, uprobe.arch) for uprobe in self._table.values()), self._next

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        table, self._next = state
        self._table, self._numbers = {}, {}
        for uprobe, uprobe.consumers, uprobe.arch in table:
            self._table[uprobe.file.inode, uprobe.offset] = self._numbers[uprobe.number] = uprobe
