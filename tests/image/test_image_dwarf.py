"""Line table and parameters of code that gcc compiled."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.errors import ImageError
from kprobesim.image import (
    Btf,
    DebugFunctions,
    DebugParameter,
    Kallsyms,
    KernelImage,
    LineTable,
    SourceLine,
    read_tables,
)
from tests.image.elf_writer import WrittenSection, small_kernel

HEADER = """static inline long step(const long *pos)
{
    return *pos + 1;
}
"""
PROGRAM = """#include "include/step.h"
struct file { int mode; };
struct pair { double a, b; };

long vfs_read(struct file *file, char *buf, unsigned long count, const long *pos)
{
    long sum = 0;
    for (unsigned long i = 0; i < count; i++)
        sum += buf[i] * file->mode + step(pos);
    return sum;
}

void _start(void)
{
    struct file file = { 3 };
    long pos = 1;
    vfs_read(&file, "abc", 3, &pos);
    for (;;)
        ;
}
"""
OTHER = """int by_value(struct pair { long a, b, c; } pair, int (*handler)(int), int flag)
{
    return pair.a + handler(flag);
}
"""

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc to make debug information")


@pytest.fixture(scope="module", params=["-gdwarf-4", "-gdwarf-5", "-gdwarf-4 -gz=zlib", "-gdwarf-5 -gz=zlib"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelImage:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "include").mkdir()
    (folder / "include" / "step.h").write_text(HEADER)
    (folder / "main.c").write_text(PROGRAM)
    (folder / "other.c").write_text(OTHER)
    command = [
        "gcc", "-O1", "-g", *request.param.split(), "-ffreestanding", "-fno-pic", "-fno-pie", "-no-pie", "-static",
        "-nostdlib", "-fno-stack-protector", "-pg", "-mfentry", "-mrecord-mcount", "-mnop-mcount",
        "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-Wl,--build-id=none",
        "-o", "out.elf", "main.c", "other.c",
    ]  # fmt: skip
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this gcc cannot build the sample: {made.stderr.splitlines()[0]}")
    return KernelImage.open(folder / "out.elf")


def entry_of(image: KernelImage, name: str) -> int:
    return Kallsyms.from_image(image).lookup_name(name)[0].address


def test_files_are_relative_to_the_compile_folder(image: KernelImage) -> None:
    assert set(LineTable(image).files) == {"main.c", "other.c", "include/step.h"}


def test_an_address_has_a_source_line(image: KernelImage) -> None:
    lines = LineTable(image)
    source = lines.lookup(entry_of(image, "vfs_read"))
    assert source is not None
    assert (source.file, str(source)) == ("main.c", "main.c:6") or source.line == 5
    assert lines.lookup(0) is None
    assert lines.lookup((1 << 64) - 1) is None


def test_a_line_has_addresses_that_lead_back_to_it(image: KernelImage) -> None:
    lines = LineTable(image)
    found = lines.addresses("main.c", 9)
    assert found
    assert all(any(place.line == 9 for place in row.statements) for row in map(lines.row_at, found) if row)
    assert lines.addresses("step.h", 3) == lines.addresses("include/step.h", 3) != ()
    assert lines.addresses("main.c", 1000) == ()
    assert lines.addresses("nothing.c", 1) == ()


def test_a_function_has_a_range_of_lines_of_its_own_file(image: KernelImage) -> None:
    lines = LineTable(image)
    start, end = entry_of(image, "vfs_read"), entry_of(image, "_start")
    found = lines.line_range(start, end)
    assert found is not None
    file, first, last = found
    assert file == "main.c"
    assert 5 <= first <= 6
    assert last in (10, 11)
    rows = lines.rows_in(start, end)
    assert rows[0].start == start
    assert all(row.start < row.end for row in rows)
    assert {row.source.file for row in rows} == {"main.c", "include/step.h"}
    assert lines.line_range(0, 10) is None


def test_parameters_have_names_types_and_registers(image: KernelImage) -> None:
    assert DebugFunctions(image).parameters(entry_of(image, "vfs_read")) == (
        DebugParameter("file", "struct file *", "rdi"),
        DebugParameter("buf", "char *", "rsi"),
        DebugParameter("count", "long unsigned int", "rdx"),
        DebugParameter("pos", "const long int *", "rcx"),
    )


def test_a_struct_on_the_stack_has_no_register(image: KernelImage) -> None:
    found = DebugFunctions(image).parameters(entry_of(image, "by_value"))
    assert found is not None
    assert found[0] == DebugParameter("pair", "struct pair", None)
    assert found[1].type_name == "int (*)()"


def test_only_an_entry_has_parameters(image: KernelImage) -> None:
    functions = DebugFunctions(image)
    assert functions.parameters(entry_of(image, "vfs_read") + 1) is None
    assert functions.parameters(0) is None
    assert functions.parameters(entry_of(image, "_start")) == ()


def test_fentry_sites_are_the_functions_entries(image: KernelImage) -> None:
    """REG-05: with fentry the site is the function's first instruction."""
    sites = read_tables(image, Kallsyms.from_image(image)).mcount_loc
    assert set(sites) == {entry_of(image, name) for name in ("vfs_read", "_start", "by_value")}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage_to_debug_information_ends_in_an_image_error_or_an_answer(
    image: KernelImage, data: st.DataObject
) -> None:
    section = data.draw(st.sampled_from([part for name, part in image.sections.items() if name.startswith(".debug_")]))
    spoiled = bytearray(image.contents)
    start = image.contents.index(bytes(section.raw))
    for _ in range(data.draw(st.integers(1, 3))):
        spoiled[start + data.draw(st.integers(0, len(section.raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        broken = KernelImage.open(bytes(spoiled))
        lines, functions = LineTable(broken), DebugFunctions(broken)
        _ = lines.files
        for symbol in Kallsyms.from_image(broken):
            functions.parameters(symbol.address)
    except ImageError as error:
        assert str(error)


def test_an_image_without_debug_information_has_no_lines() -> None:
    image = KernelImage.open(small_kernel().build())
    lines = LineTable(image)
    assert lines.rows == ()
    assert lines.files == ()
    assert lines.lookup(image.entry) is None
    assert DebugFunctions(image).parameters(image.entry) is None


def test_damaged_debug_information_is_an_image_error() -> None:
    writer = small_kernel()
    writer.sections.append(WrittenSection(".debug_info", b"\x10\0\0\0\x05\0\x01\x08" + bytes(4) + b"\x07" * 8))
    writer.sections.append(WrittenSection(".debug_abbrev", b"\xff\xff"))
    image = KernelImage.open(writer.build())
    with pytest.raises(ImageError, match="debug"):
        _ = LineTable(image).rows
    with pytest.raises(ImageError, match="debug"):
        DebugFunctions(image).parameters(image.entry)


@pytest.mark.skipif(not shutil.which("pahole"), reason="needs pahole to make BTF")
def test_btf_of_pahole_agrees_with_the_compiler(image: KernelImage, tmp_path: Path) -> None:
    (tmp_path / "with_btf.elf").write_bytes(image.contents)
    made = subprocess.run(["pahole", "-J", tmp_path / "with_btf.elf"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this pahole cannot read the sample: {made.stderr.strip()}")
    btf = Btf.from_image(KernelImage.open(tmp_path / "with_btf.elf"))
    place = btf.struct_member("file", "mode")
    assert place is not None
    assert (place.offset, place.size) == (0, 4)
    found = btf.function("vfs_read")
    assert found is not None
    assert [parameter.name for parameter in found[0]] == ["file", "buf", "count", "pos"]


def test_places_in_source_sort_and_print() -> None:
    assert sorted([SourceLine("b.c", 1), SourceLine("a.c", 2)])[0] == SourceLine("a.c", 2)
    assert str(SourceLine("fs/read_write.c", 7, 3)) == "fs/read_write.c:7"
