"""Objects from strangers: whatever is in the file, the answer is a sentence, soon and in little memory."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.bpf import Insn, encode
from kprobesim.bpf.object import Kernel, ObjectError, load_object
from kprobesim.bpf.object.verify import verify_object_program
from kprobesim.image import Btf
from tests.bpf.object.elf_builder import CODE, SHT_NOBITS, Section, Symbol, Types, btf_ext, elf_file
from tests.bpf.object.objects import contents, toyix

EXIT = encode([Insn(0xB7), Insn(0x95)])
NAMES = ("count", "globals", "core", "maps", "externs")
PTR, ARRAY, STRUCT, TYPEDEF, FUNC_PROTO, VAR, DATASEC = 2, 3, 4, 8, 13, 14, 15

mutations = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.sampled_from([1, 2, 4, 8]), st.integers(0, (1 << 64) - 1)),
    min_size=1,
    max_size=8,
)


@given(st.sampled_from(NAMES), mutations, st.integers(0, 1 << 16))
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_loaded_or_refused(name: str, changes: list[tuple[int, int, int]], cut: int) -> None:
    data = bytearray(contents(name))
    for place, size, value in changes:
        # The interesting parts stand at the file's end: headers, symbols, types.
        at = (len(data) - place) % len(data)
        data[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    if cut < len(data):
        del data[len(data) - cut :]
    try:
        found = load_object(bytes(data), name, toyix())
    except ObjectError as error:
        assert error.message
        return
    for program in found.programs:
        verify_object_program(found, program, stop_after=1000)


@given(st.binary(max_size=400))
def test_any_bytes_behind_the_magic_are_refused(data: bytes) -> None:
    with pytest.raises(ObjectError):
        load_object(b"\x7fELF\x02\x01\x01" + data, "noise.o")


@given(st.binary(max_size=200), st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_as_types_are_read_or_refused(types: bytes, ext: bytes) -> None:
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, max(len(types) - 1, 0), max(len(types) - 1, 0), 1)
    sections = [
        Section("kprobe/x", EXIT, flags=CODE),
        Section(".BTF", head + types[:-1] + b"\0"),
        Section(".BTF.ext", ext),
    ]
    try:
        load_object(elf_file(sections, [Symbol("x", 0, 0, 16)]), "x.o", toyix())
    except ObjectError as error:
        assert error.message


def test_the_builder_makes_objects_that_load() -> None:
    found = load_object(elf_file([Section("kprobe/x", EXIT, flags=CODE)], [Symbol("x", 0, 0, 16)]), "x.o")
    assert [program.name for program in found.programs] == ["x"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"int main", "is not an ELF file"),
        (b"\x7fELF", "ends inside its ELF header"),
        (elf_file([Section(".bss", type=SHT_NOBITS, size=1 << 40)]), "which is not sensible"),
        (elf_file([Section(".bss", type=SHT_NOBITS, size=4 << 20)] * 3), "MiB of variables"),
        (elf_file([Section("x", b"a", size=1 << 40)]), "is cut off"),
        (elf_file([Section("kprobe/x", b"123", flags=CODE)]), "in the middle of an instruction"),
        (elf_file([Section("kprobe/x", EXIT, flags=CODE)], [Symbol("x", 0, 8, 16)]), "reaches out of its section"),
        (elf_file([Section("kprobe/x", EXIT, flags=CODE)], [Symbol("x", 0, 0, 16, 2)]), "is static"),
        (elf_file([Section("kprobe/x", EXIT, flags=CODE)], [Symbol("x", 0, 0, 16)] * 2), "two functions begin"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(data: bytes, said: str) -> None:
    with pytest.raises(ObjectError, match=said):
        load_object(data, "strange.o")


def test_sections_that_lie_over_each_other_are_not_copied_a_thousand_times() -> None:
    large = Section("a", bytes(1 << 20))
    over = [Section(f"b{number}", size=1 << 20) for number in range(1000)]
    whole = bytearray(elf_file([*over, large]))
    with pytest.raises(ObjectError, match="lie over each other"):
        load_object(bytes(whole), "overlap.o")


def test_many_programs_that_share_one_huge_function_are_refused() -> None:
    """The sum of the linked programs counts, not the file's size."""
    body = encode([*[Insn(0xB7)] * 4000, Insn(0x95)])
    caller = encode([Insn(0x85, src=1, imm=-1), Insn(0x95)])
    sections = [Section(".text", body, flags=CODE), *[Section("kprobe/x", caller, flags=CODE)] * 900]
    symbols = [Symbol("huge", 0, 0, len(body))]
    symbols += [Symbol(f"p{number}", number + 1, 0, 16) for number in range(900)]
    # Each call is relocated to the function in .text.
    table = struct.pack("<QQ", 0, 1 << 32 | 10)
    rel = [Section(".rel", table, 9, 0) for _ in range(900)]
    data = bytearray(elf_file([*sections, *rel], symbols))
    first = len(data) - 64 * (len(sections) + len(rel) + 3)
    for number in range(900):
        at = first + 64 * (len(sections) + number)
        data[at + 44 : at + 48] = (number + 2).to_bytes(4, "little")
    with pytest.raises(ObjectError, match="are too large"):
        load_object(bytes(data), "many.o")


def _with_map(types: Types, type_id: int) -> bytes:
    """An object whose map is a variable of this type."""
    var = types.add(VAR, "m", type_id, 0, struct.pack("<I", 1))
    types.add(DATASEC, ".maps", 0, 1, struct.pack("<III", var, 0, 8))
    sections = [Section(".maps", bytes(8)), Section(".BTF", types.bytes())]
    return elf_file(sections, [Symbol("m", 0, 0, 8, 0x11)])


def test_a_type_that_refers_to_itself_is_refused() -> None:
    types = Types()
    types.add(TYPEDEF, "a", 2)
    types.add(TYPEDEF, "b", 1)
    with pytest.raises(ObjectError, match="refers to itself"):
        load_object(_with_map(types, 1), "circle.o")


def test_a_map_whose_key_contains_itself_is_refused() -> None:
    types = Types()
    array = types.add(ARRAY, extra=struct.pack("<III", 1, 1, 2))
    pointer = types.add(PTR, size=array)
    key = types.name("key")
    struct_ = types.add(STRUCT, size=8, vlen=1, extra=struct.pack("<III", key, pointer, 0))
    with pytest.raises(ObjectError, match="contains itself"):
        load_object(_with_map(types, struct_), "self.o")


def test_types_that_unfold_without_end_stop_at_a_budget() -> None:
    """Functions that take functions that take functions, four of each: 4 to the power of 15 comparisons."""
    types = Types()
    proto = types.add(FUNC_PROTO)
    for _ in range(15):
        pointer = types.add(PTR, size=proto)
        proto = types.add(FUNC_PROTO, vlen=4, extra=struct.pack("<II", 0, pointer) * 4)
    bomb = types.add(TYPEDEF, "bomb", proto)
    section, access = types.name("kprobe/x"), types.name("0")
    sections = [
        Section("kprobe/x", EXIT, flags=CODE),
        Section(".BTF", types.bytes()),
        Section(".BTF.ext", btf_ext([(0, bomb, 8)], section, access)),
    ]
    data = elf_file(sections, [Symbol("x", 0, 0, 16)])
    kernel = Kernel(Btf.parse(types.bytes()), lambda name: None)
    with pytest.raises(ObjectError, match="takes too long"):
        load_object(data, "bomb.o", kernel)
