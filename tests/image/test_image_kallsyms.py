"""Symbols: letters, sizes and look-ups as Linux's kallsyms gives them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobesim.errors import ImageError
from kprobesim.image import Kallsyms, KernelImage, Symbol, SymbolOverlay
from tests.image.elf_writer import FUNC, LOCAL, NOTYPE, OBJECT, TEXT_BASE, WEAK, WrittenSymbol, small_kernel


def symbols_of(*extra: WrittenSymbol) -> Kallsyms:
    writer = small_kernel()
    writer.symbols += extra
    return Kallsyms.from_image(KernelImage.open(writer.build()))


def test_letters_come_from_section_and_binding() -> None:
    found = {symbol.name: symbol.type_letter for symbol in symbols_of()}
    assert found == {"vfs_read": "T", "helper": "t", "table": "R", "jiffies": "D", "counter": "b"}


def test_weak_symbols_have_their_own_letters() -> None:
    symbols = symbols_of(
        WrittenSymbol("maybe", TEXT_BASE + 4, ".text", 1, FUNC, WEAK),
        WrittenSymbol("perhaps", TEXT_BASE + 0x1014, ".data", 1, OBJECT, WEAK),
    )
    assert symbols.lookup_name("maybe")[0].type_letter == "W"
    assert symbols.lookup_name("perhaps")[0].type_letter == "V"


def test_a_symbol_of_a_section_that_is_not_loaded_is_left_out() -> None:
    assert symbols_of().lookup_name("note") == []


def test_symbols_come_by_address() -> None:
    addresses = [symbol.address for symbol in symbols_of()]
    assert addresses == sorted(addresses)


def test_the_size_runs_to_the_next_symbol() -> None:
    """REG-08: a blacklist entry covers [start, start + kallsyms size), padding included."""
    symbols = symbols_of()
    assert symbols.sprint_symbol(TEXT_BASE + 2) == "vfs_read+0x2/0x10"
    assert symbols.sprint_symbol(TEXT_BASE + 15) == "vfs_read+0xf/0x10"
    assert symbols.lookup_name("vfs_read")[0].elf_size == 11


def test_the_last_symbol_reaches_to_the_end_of_its_section() -> None:
    symbols = symbols_of()
    assert symbols.sprint_symbol(TEXT_BASE + 16) == "helper+0x0/0x10"
    assert symbols.sprint_symbol(TEXT_BASE + 31) == "helper+0xf/0x10"
    assert symbols.sprint_symbol(TEXT_BASE + 32) == f"{TEXT_BASE + 32:#x}"


@pytest.mark.parametrize("address", [0, 1, TEXT_BASE - 1, (1 << 64) - 1, 1 << 70])
def test_an_address_outside_is_printed_bare(address: int) -> None:
    """REG-01: an address outside kallsyms is -ENOENT, which starts with finding nothing here."""
    symbols = symbols_of()
    assert symbols.lookup_size_offset(address) is None
    assert symbols.symbolize(address) == f"{address:#x}"


def test_an_offset_past_one_symbol_belongs_to_the_next() -> None:
    """REG-01: foo+huge silently becomes bar+small."""
    symbols = symbols_of()
    assert symbols.symbolize(symbols.lookup_name("vfs_read")[0].address + 0x12) == "helper+0x2"


def test_duplicate_names_are_all_found() -> None:
    symbols = symbols_of(WrittenSymbol("helper", TEXT_BASE + 24, ".text", 3, binding=LOCAL))
    assert [symbol.address - TEXT_BASE for symbol in symbols.lookup_name("helper")] == [16, 24]


def test_of_several_symbols_at_one_address_linux_names_the_strong_one_with_fewest_underscores() -> None:
    symbols = symbols_of(
        WrittenSymbol("__text_start", TEXT_BASE, ".text", 0, NOTYPE),
        WrittenSymbol("__vfs_read", TEXT_BASE, ".text", 11),
        WrittenSymbol("a_weak_one", TEXT_BASE, ".text", 11, FUNC, WEAK),
    )
    assert [symbol.name for symbol in symbols][:4] == ["vfs_read", "__vfs_read", "__text_start", "a_weak_one"]
    assert symbols.symbolize(TEXT_BASE + 1) == "vfs_read+0x1"


def test_compiler_internals_are_no_symbols() -> None:
    symbols = symbols_of(
        WrittenSymbol(".L42", TEXT_BASE + 2, ".text", 0, NOTYPE, LOCAL),
        WrittenSymbol("$x", TEXT_BASE + 2, ".text", 0, NOTYPE, LOCAL),
        WrittenSymbol("SIZE", 42, ".text", 0, NOTYPE, index=0xFFF1),
    )
    assert len(symbols) == 5


def test_an_absolute_symbol_inside_the_kernel_counts() -> None:
    symbols = symbols_of(WrittenSymbol("_middle", TEXT_BASE + 4, "", 0, NOTYPE, index=0xFFF1))
    assert symbols.symbolize(TEXT_BASE + 5) == "_middle+0x1"


def test_a_symbol_of_a_section_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ImageError, match="does not exist"):
        symbols_of(WrittenSymbol("lost", TEXT_BASE, "", index=77))


def test_near_names_help_with_a_typing_mistake() -> None:
    assert symbols_of().near_names("vfs_raed") == ["vfs_read"]
    assert symbols_of().near_names("xyzzy") == []


def test_a_line_reads_as_in_proc_kallsyms() -> None:
    assert str(Symbol("vfs_read", TEXT_BASE, "T", 0, ".text")) == "ffffffff81000000 T vfs_read"
    slot = Symbol("kprobe_insn_page", 0xFFFFFFFFA0000000, "t", 4096, "", "__builtin__kprobes")
    assert str(slot) == "ffffffffa0000000 t kprobe_insn_page\t[__builtin__kprobes]"


def test_dynamic_symbols_come_and_go() -> None:
    """REG-14: slot pages appear in kallsyms as kprobe_insn_page in the pseudo-module __builtin__kprobes."""
    base = symbols_of()
    overlay = SymbolOverlay(base)
    page = overlay.add("kprobe_insn_page", 0xFFFFFFFFA0000000, 4096, module="__builtin__kprobes")
    assert overlay.sprint_symbol(0xFFFFFFFFA000000F) == "kprobe_insn_page+0xf/0x1000 [__builtin__kprobes]"
    assert overlay.symbolize(TEXT_BASE) == "vfs_read+0x0"
    assert list(overlay)[-1] == page
    assert overlay.lookup_name("kprobe_insn_page") == [page]
    assert base.lookup_name("kprobe_insn_page") == []
    overlay.remove(page)
    assert overlay.lookup_size_offset(page.address) is None
    with pytest.raises(ValueError, match="not in list"):
        overlay.remove(page)


def test_a_checkpoint_of_the_dynamic_symbols_can_be_put_back() -> None:
    overlay = SymbolOverlay(symbols_of())
    overlay.add("bpf_prog_1", 0xFFFFFFFFA0000000, 64, module="bpf")
    kept = overlay.added
    overlay.add("bpf_prog_2", 0xFFFFFFFFA0001000, 64, module="bpf")
    overlay.replace(kept)
    assert [symbol.name for symbol in overlay.added] == ["bpf_prog_1"]


@given(st.integers(0, 64))
def test_every_address_of_a_section_has_offset_below_size(offset: int) -> None:
    found = symbols_of().lookup_size_offset(TEXT_BASE + offset)
    if found:
        symbol, inside, size = found
        assert symbol.address + inside == TEXT_BASE + offset
        assert 0 <= inside < size
