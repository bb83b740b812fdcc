"""The kernel's own tables: from sections, from marks, or empty."""

import struct

import pytest

from kprobesim.errors import ImageError
from kprobesim.image import ExceptionEntry, Kallsyms, KernelImage, KernelTables, Range, read_tables
from tests.image.elf_writer import (
    ALLOC,
    EXEC,
    NOTYPE,
    PHYSICAL_BASE,
    TEXT_BASE,
    ElfWriter,
    WrittenSection,
    WrittenSegment,
    WrittenSymbol,
    small_kernel,
)

TABLES = TEXT_BASE + 0x2000


def tables_of(writer: ElfWriter) -> KernelTables:
    image = KernelImage.open(writer.build())
    return read_tables(image, Kallsyms.from_image(image))


def with_table(name: str, data: bytes, flags: int = ALLOC) -> ElfWriter:
    writer = small_kernel()
    writer.segments.append(WrittenSegment(TABLES, data, PHYSICAL_BASE + 0x2000, flags=4))
    writer.sections.append(WrittenSection(name, data, TABLES, flags))
    return writer


def test_missing_tables_are_empty() -> None:
    tables = tables_of(small_kernel())
    assert not tables.kprobes_text
    assert not tables.noinstr_text
    assert (tables.kprobe_blacklist, tables.mcount_loc, tables.hypercalls) == ((), (), ())
    assert tables.exception_entries() == ()
    assert tables.bug_table_bytes == b""


def test_only_executable_sections_are_text() -> None:
    """REG-06: an address that is not kernel text is refused."""
    tables = tables_of(small_kernel())
    assert tables.is_text(TEXT_BASE)
    assert tables.is_text(TEXT_BASE + 31)
    assert not tables.is_text(TEXT_BASE + 32)
    assert not tables.is_text(TEXT_BASE + 0x1000)


@pytest.mark.parametrize("name", [".kprobes.text", ".noinstr.text", ".entry.text"])
def test_forbidden_text_is_a_range(name: str) -> None:
    """REG-08: .kprobes.text, .noinstr.text and .entry.text are blacklisted as a whole."""
    tables = tables_of(with_table(name, b"\xc3" * 8, ALLOC | EXEC))
    span = getattr(tables, name[1:].replace(".", "_"))
    assert span == Range(TABLES, TABLES + 8)
    assert TABLES + 7 in span
    assert TABLES + 8 not in span


def test_a_range_may_be_marked_by_symbols_instead_of_a_section() -> None:
    writer = small_kernel()
    writer.symbols += [
        WrittenSymbol("__noinstr_text_start", TEXT_BASE + 16, ".text", 0, NOTYPE),
        WrittenSymbol("__noinstr_text_end", TEXT_BASE + 32, ".text", 0, NOTYPE),
    ]
    assert tables_of(writer).noinstr_text == Range(TEXT_BASE + 16, TEXT_BASE + 32)


def test_the_blacklist_is_an_array_of_addresses() -> None:
    """REG-08: NOKPROBE_SYMBOL() puts addresses into a section of their own."""
    data = struct.pack("<2Q", TEXT_BASE + 16, TEXT_BASE)
    assert tables_of(with_table("_kprobe_blacklist", data)).kprobe_blacklist == (TEXT_BASE + 16, TEXT_BASE)


def test_fentry_sites_are_sorted_and_dropped_ones_left_out() -> None:
    """REG-05: ftrace_location() looks a site up among these."""
    data = struct.pack("<3Q", TEXT_BASE + 16, 0, TEXT_BASE)
    assert tables_of(with_table("__mcount_loc", data)).mcount_loc == (TEXT_BASE, TEXT_BASE + 16)


def test_hypercalls_pair_stub_and_number() -> None:
    assert tables_of(with_table(".hypercalls", struct.pack("<2Q", TEXT_BASE, 16))).hypercalls == ((TEXT_BASE, 16),)


@pytest.mark.parametrize(("name", "size"), [(".hypercalls", 24), ("__mcount_loc", 12), ("_kprobe_blacklist", 1)])
def test_a_table_with_half_an_entry_is_an_error(name: str, size: int) -> None:
    with pytest.raises(ImageError, match="whole number"):
        tables_of(with_table(name, bytes(size)))


def test_exception_entries_count_from_their_own_fields() -> None:
    data = struct.pack("<iii", TEXT_BASE - TABLES, TEXT_BASE + 16 - TABLES - 4, 3) + b"rest"
    tables = tables_of(with_table("__ex_table", data))
    assert tables.exception_entries() == (ExceptionEntry(TEXT_BASE, TEXT_BASE + 16, 3),)
    assert tables.exception_table_bytes == data


def test_the_bug_table_is_given_raw() -> None:
    tables = tables_of(with_table("__bug_table", b"0123"))
    assert tables.bug_table == Range(TABLES, TABLES + 4)
    assert tables.bug_table_bytes == b"0123"
