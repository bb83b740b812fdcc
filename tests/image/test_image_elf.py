"""Opening a kernel image: the good one opens, every bad one says why."""

import hashlib
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.errors import ImageError
from kprobesim.image import Btf, DebugFunctions, Kallsyms, KernelImage, LineTable, read_tables
from tests.image.elf_writer import (
    ALLOC,
    COMPRESSED,
    PHYSICAL_BASE,
    TEXT_BASE,
    ElfWriter,
    WrittenSection,
    WrittenSegment,
    compressed,
    small_kernel,
)

GOOD = small_kernel().build()


def test_a_good_image_opens_with_its_segments_and_sections() -> None:
    image = KernelImage.open(GOOD)
    assert image.entry == TEXT_BASE
    assert [(segment.virtual, segment.physical, segment.permissions) for segment in image.segments] == [
        (TEXT_BASE, PHYSICAL_BASE, "r-x"),
        (TEXT_BASE + 0x1000, PHYSICAL_BASE + 0x1000, "rw-"),
    ]
    assert image.sections[".text"].address == TEXT_BASE
    assert image.sections[".text"].data[:4] == b"\x55\x48\x89\xe5"
    assert image.sections[".bss"].size == 32
    assert image.sections[".bss"].data == b""
    assert image.sha256 == hashlib.sha256(GOOD).hexdigest()
    assert image.highest_physical == PHYSICAL_BASE + 0x1000 + 64


def test_reading_gives_zeroes_after_the_file_bytes() -> None:
    image = KernelImage.open(GOOD)
    assert image.read(TEXT_BASE + 0x101E, 6) == b"\x1e\x1f\0\0\0\0"
    with pytest.raises(ImageError, match="has no 2 bytes"):
        image.read(TEXT_BASE + 31, 2)


def test_an_image_cannot_be_changed() -> None:
    image = KernelImage.open(GOOD)
    with pytest.raises(AttributeError):
        image.entry = 0  # type: ignore[misc]
    with pytest.raises(TypeError):
        image.sections["x"] = image.sections[".text"]  # type: ignore[index]


def test_a_path_opens_as_the_bytes_do(tmp_path: Path) -> None:
    (tmp_path / "mine.elf").write_bytes(GOOD)
    image = KernelImage.open(tmp_path / "mine.elf")
    assert image.name == "mine.elf"
    assert image.sha256 == KernelImage.open(GOOD).sha256


@pytest.mark.parametrize("name", ["nothing.elf", ".", "a\0b"])
def test_a_path_that_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError):
        KernelImage.open(tmp_path / name)


def test_compressed_sections_unpack() -> None:
    writer = small_kernel()
    writer.sections.append(WrittenSection(".debug_str", compressed(b"hello" * 100), flags=COMPRESSED))
    section = KernelImage.open(writer.build()).sections[".debug_str"]
    assert section.size == 500
    assert section.data == b"hello" * 100


@pytest.mark.parametrize("packed", [b"", struct.pack("<IIQQ", 1, 0, 1 << 60, 1), struct.pack("<IIQQ", 2, 0, 5, 1)])
def test_a_section_that_unpacks_to_nonsense_is_refused(packed: bytes) -> None:
    writer = small_kernel()
    writer.sections.append(WrittenSection(".debug_str", packed, flags=COMPRESSED))
    with pytest.raises(ImageError, match="debug_str"):
        KernelImage.open(writer.build())


def test_a_section_that_does_not_unpack_is_said_when_asked() -> None:
    writer = small_kernel()
    writer.sections.append(WrittenSection(".debug_str", struct.pack("<IIQQ", 1, 0, 5, 1) + b"xx", flags=COMPRESSED))
    with pytest.raises(ImageError, match="debug_str"):
        _ = KernelImage.open(writer.build()).sections[".debug_str"].data


def change(**fields: int) -> Callable[[ElfWriter], None]:
    def apply(writer: ElfWriter) -> None:
        for name, value in fields.items():
            setattr(writer, name, value)

    return apply


def change_segment(index: int = 0, **fields: int) -> Callable[[ElfWriter], None]:
    def apply(writer: ElfWriter) -> None:
        for name, value in fields.items():
            setattr(writer.segments[index], name, value)

    return apply


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change(elf_class=1), "32-bit"),
        (change(byte_order=2), "big-endian"),
        (change(machine=183), "another processor"),
        (change(kind=1), "object file"),
        (change(kind=3), "position independent"),
        (change(entry=0x1234), "in none of its segments"),
        (lambda writer: writer.segments.clear(), "no segments"),
        (change_segment(memory_size=0), "overlap|in none of its segments"),
        (change_segment(memory_size=0x2000), "overlap"),
        (change_segment(1, physical=PHYSICAL_BASE), "overlap at physical"),
        (change_segment(1, virtual=TEXT_BASE), "overlap at virtual"),
        (change_segment(memory_size=1 << 60), "above 1 GiB"),
        (change_segment(memory_size=(1 << 64) - 1), "above 1 GiB"),
        (change_segment(physical=1 << 40), "above 1 GiB"),
        (change_segment(physical=0x1000), "the loader keeps"),
        (change_segment(memory_size=4), "only 4 in memory"),
        (change_segment(file_size=1 << 62, memory_size=1 << 62), "cut off"),
        (change_segment(offset=1 << 63), "cut off"),
        (change_segment(virtual=1 << 50), "not canonical"),
        (change_segment(virtual=(1 << 64) - 16), "not canonical"),
        (change_segment(physical=PHYSICAL_BASE + 8), "no page table"),
    ],
)
def test_each_wrong_elf_is_named(spoil: Callable[[ElfWriter], None], words: str) -> None:
    writer = small_kernel()
    spoil(writer)
    with pytest.raises(ImageError, match=words):
        KernelImage.open(writer.build())


@pytest.mark.parametrize("contents", [b"", b"MZ", b"#!/bin/sh\n", b"\x7fEL", b"\x7fELF", GOOD[:63]])
def test_what_is_no_elf_is_said_with_a_hint(contents: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        KernelImage.open(contents)
    assert caught.value.hint


@pytest.mark.parametrize("length", range(64, len(GOOD), 37))
def test_a_file_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(ImageError):
        KernelImage.open(GOOD[:length])


def test_a_huge_section_that_is_not_in_the_file_takes_no_memory() -> None:
    writer = small_kernel()
    writer.sections.append(WrittenSection(".hypercalls", address=0x10000, flags=ALLOC, kind=8, size=1 << 60))
    tracemalloc.start()
    image = KernelImage.open(writer.build())
    with pytest.raises(ImageError):
        read_tables(image, Kallsyms.from_image(image))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, len(GOOD)),
)
def test_damage_raises_image_error_or_nothing(changes: list[tuple[int, int]], cut: int) -> None:
    spoiled = bytearray(GOOD)
    for at, value in changes:
        spoiled[at] = value
    for contents in (bytes(spoiled), bytes(spoiled[:cut])):
        try:
            image = KernelImage.open(contents)
            symbols = Kallsyms.from_image(image)
            read_tables(image, symbols)
            for symbol in symbols:
                symbols.sprint_symbol(symbol.address)
            _ = LineTable(image).rows, DebugFunctions(image).parameters(TEXT_BASE), Btf.from_image(image)
        except ImageError as error:
            assert str(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_after_an_elf_magic_raise_image_error(tail: bytes) -> None:
    with pytest.raises(ImageError):
        KernelImage.open(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\x3e\0" + tail)


def test_segments_are_sorted_by_virtual_address() -> None:
    writer = small_kernel()
    writer.segments.append(WrittenSegment(0x100000, b"boot", 0x200000))
    assert KernelImage.open(writer.build()).segments[0].virtual == 0x100000


def test_importing_the_package_loads_no_decoder_and_no_elf_reader() -> None:
    script = "import sys, kprobesim.image; print({'capstone', 'elftools', 'tomllib'} & set(sys.modules))"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "set()"
