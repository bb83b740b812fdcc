"""The tables that a kernel keeps about its own code, read from the image.

Each is looked for as a section, then between the pair of symbols by which Linux's linker script marks it
(Linux include/asm-generic/vmlinux.lds.h). What is not there is empty.
"""

import struct
from dataclasses import dataclass

from kprobesim.errors import ImageError
from kprobesim.image.elf import KernelImage
from kprobesim.image.kallsyms import Kallsyms

__all__ = ["ExceptionEntry", "JumpEntry", "KernelTables", "Range", "read_tables"]

MAX_TABLE = 16 << 20
EXCEPTION_ENTRY = struct.Struct("<iii")
JUMP_ENTRY = struct.Struct("<iiq")


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from ``start`` up to, not including, ``end``; ``address in range`` asks."""

    start: int
    end: int

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end

    def __bool__(self) -> bool:
        return self.start < self.end

    @property
    def size(self) -> int:
        """In bytes."""
        return max(self.end - self.start, 0)


EMPTY = Range(0, 0)


@dataclass(frozen=True, slots=True)
class ExceptionEntry:
    """When ``insn`` faults, the kernel goes on at ``fixup``; both are addresses, ``data`` is the handler's own word."""

    insn: int
    fixup: int
    data: int


@dataclass(frozen=True, slots=True)
class JumpEntry:
    """A static branch: at ``code`` there is a nop or a jump to ``target``, as the ``static_key`` at ``key`` says.

    ``branch`` is what the compiler took for the usual case: True where the nop means that the key is on.
    """

    code: int
    target: int
    key: int
    branch: bool


@dataclass(frozen=True, slots=True)
class KernelTables:
    """What an image says about its code.

    ``text`` holds every executable section, by address. ``kprobe_blacklist`` are the addresses that
    ``NOKPROBE_SYMBOL`` noted, ``mcount_loc`` the fentry sites (sorted), ``hypercalls`` pairs of stub address and
    number, ``error_injection`` the functions that ``ALLOW_ERROR_INJECTION`` noted, ``jump_table`` the static branches
    in the order of the table, ``syscalls_metadata`` the addresses of the ``struct syscall_metadata``.
    ``exception_table`` and ``bug_table`` are where those tables are, with their bytes beside them.
    """

    text: tuple[Range, ...]
    kprobes_text: Range
    noinstr_text: Range
    entry_text: Range
    kprobe_blacklist: tuple[int, ...]
    mcount_loc: tuple[int, ...]
    hypercalls: tuple[tuple[int, int], ...]
    error_injection: tuple[int, ...]
    jump_table: tuple[JumpEntry, ...]
    syscalls_metadata: tuple[int, ...]
    exception_table: Range
    exception_table_bytes: bytes
    bug_table: Range
    bug_table_bytes: bytes

    def is_text(self, address: int) -> bool:
        """True for an address in any executable section (Linux kernel/extable.c:kernel_text_address)."""
        return any(address in span for span in self.text)

    def exception_entries(self) -> tuple[ExceptionEntry, ...]:
        """The exception table in Linux's 12-byte form, as far as it goes; a rest of less than 12 bytes is ignored.

        Each field counts from its own address (Linux arch/x86/include/asm/extable.h).
        """
        whole = len(self.exception_table_bytes) // EXCEPTION_ENTRY.size * EXCEPTION_ENTRY.size
        found = []
        for index, (insn, fixup, data) in enumerate(EXCEPTION_ENTRY.iter_unpack(self.exception_table_bytes[:whole])):
            at = self.exception_table.start + index * EXCEPTION_ENTRY.size
            found.append(ExceptionEntry(at + insn, at + 4 + fixup, data))
        return tuple(found)


def read_tables(image: KernelImage, kallsyms: Kallsyms) -> KernelTables:
    """Read them all.

    Raises:
        ImageError: a table's size is not a whole number of entries, or its bytes are outside the segments.
    """

    def find(section: str, *marks: tuple[str, str]) -> Range:
        # The symbols first, as Linux itself goes by them: a section may begin with padding.
        for first, last in marks:
            start, end = kallsyms.lookup_name(first), kallsyms.lookup_name(last)
            if start and end:
                return Range(start[0].address, end[0].address)
        found = image.sections.get(section)
        if found is not None and found.is_loaded:
            return Range(found.address, found.end)
        return EMPTY

    def numbers(name: str, span: Range, each: int = 8) -> tuple[int, ...]:
        if span.size % each:
            raise ImageError(
                f"{image.name}: {name} is {span.size} bytes long, not a whole number of {each}-byte entries."
            )
        return struct.unpack(f"<{span.size // 8}Q", contents(span))

    def contents(span: Range) -> bytes:
        if span.size > MAX_TABLE:
            raise ImageError(
                f"{image.name}: the table at {span.start:#x} is {span.size} bytes long, which is not sensible."
            )
        return image.read(span.start, span.size) if span else b""

    text = sorted(
        (section.address, section.end)
        for section in image.sections_by_index
        if section and section.is_loaded and section.is_text and section.size
    )
    jumps = find("__jump_table", ("__start___jump_table", "__stop___jump_table"))
    metadata = find("__syscalls_metadata", ("__start_syscalls_metadata", "__stop_syscalls_metadata"))
    blacklist = find("_kprobe_blacklist", ("__start_kprobe_blacklist", "__stop_kprobe_blacklist"))
    mcount = find("__mcount_loc", ("__start_mcount_loc", "__stop_mcount_loc"))
    stubs = numbers(".hypercalls", find(".hypercalls", ("__start_hypercalls", "__stop_hypercalls")), each=16)
    marks = ("__start_error_injection_whitelist", "__stop_error_injection_whitelist")
    injectable = numbers("_error_injection_whitelist", find("_error_injection_whitelist", marks), each=16)
    exceptions = find("__ex_table", ("__start___ex_table", "__stop___ex_table"))
    bugs = find("__bug_table", ("__start___bug_table", "__stop___bug_table"))
    return KernelTables(
        text=tuple(Range(start, end) for start, end in text),
        kprobes_text=find(".kprobes.text", ("__kprobes_text_start", "__kprobes_text_end")),
        noinstr_text=find(".noinstr.text", ("__noinstr_text_start", "__noinstr_text_end")),
        entry_text=find(".entry.text", ("__entry_text_start", "__entry_text_end")),
        kprobe_blacklist=numbers("_kprobe_blacklist", blacklist),
        # Zeroes are sites that the linker dropped (Linux kernel/trace/ftrace.c:ftrace_process_locs).
        mcount_loc=tuple(sorted(site for site in numbers("__mcount_loc", mcount) if site)),
        hypercalls=tuple(zip(stubs[::2], stubs[1::2], strict=True)),
        error_injection=injectable[::2],
        jump_table=_jump_entries(image, jumps.start, contents(jumps)),
        syscalls_metadata=numbers("__syscalls_metadata", metadata),
        exception_table=exceptions,
        exception_table_bytes=contents(exceptions),
        bug_table=bugs,
        bug_table_bytes=contents(bugs),
    )


def _jump_entries(image: KernelImage, start: int, table: bytes) -> tuple[JumpEntry, ...]:
    """The table of static branches; each field counts from its own address (Linux include/linux/jump_label.h)."""
    if len(table) % JUMP_ENTRY.size:
        raise ImageError(
            f"{image.name}: __jump_table is {len(table)} bytes long, "
            f"not a whole number of {JUMP_ENTRY.size}-byte entries."
        )
    found = []
    for number, (code, target, key) in enumerate(JUMP_ENTRY.iter_unpack(table)):
        at = start + number * JUMP_ENTRY.size
        place = at + 8 + key
        found.append(JumpEntry(at + code, at + 4 + target, place & ~3, bool(place & 1)))
    return tuple(found)
