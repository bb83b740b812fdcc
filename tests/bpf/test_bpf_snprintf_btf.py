"""bpf_snprintf_btf: objects printed by their types. Expected texts are what btf_show of Linux 6.1 makes of them.

Reference bpf.md section 4 (helpers), V16.
"""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.bpf import HELPER_IDS, HELPERS
from kprobesim.bpf.helpers.btf_show import BTF_F_COMPACT, BTF_F_NONAME, BTF_F_PTR_RAW, BTF_F_ZERO
from kprobesim.image import Btf
from kprobesim.linux_errno import Errno
from tests.bpf.object.elf_builder import Types
from tests.bpf.rig import CTX, TOP, Rig, build_rig

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, CONST, FLOAT = 1, 2, 3, 4, 5, 6, 7, 8, 10, 16
SIGNED, CHAR, BOOL = 1, 2, 4
OBJECT = 0xFFFF_8880_1234_0000


class Shapes(Types):
    """Types with the usual numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.int = self.number("int", 4, SIGNED)
        self.u64 = self.number("long unsigned int", 8)
        self.char = self.number("char", 1, SIGNED)
        self.u8 = self.number("unsigned char", 1)

    def number(self, name: str, size: int, encoding: int = 0, bits: int = 0) -> int:
        return self.add(INT, name, size, extra=struct.pack("<I", encoding << 24 | (bits or size * 8)))

    def array(self, element: int, count: int) -> int:
        return self.add(ARRAY, extra=struct.pack("<III", element, self.int, count))

    def parts(self, kind: int, name: str, size: int, *members: tuple[str, int, int], bit_fields: bool = False) -> int:
        rows = b"".join(struct.pack("<III", self.name(label) if label else 0, one, at) for label, one, at in members)
        made = self.add(kind, name, size, len(members), rows)
        if bit_fields:
            at = len(self.body) - len(rows) - 5
            self.body = self.body[:at] + bytes([self.body[at] | 0x80]) + self.body[at + 1 :]
        return made

    def struct(self, name: str, size: int, *members: tuple[str, int, int]) -> int:
        return self.parts(STRUCT, name, size, *members)


def rig_with(types: Shapes, data: bytes, at: int = OBJECT) -> Rig:
    rig = build_rig("r0 = 0\nexit\n")
    rig.env.btf = Btf.parse(types.bytes())
    rig.env.kernel[at] = data
    return rig


def called(rig: Rig, type_id: int, flags: int = 0, size: int = 1024, at: int = OBJECT, ptr_size: int = 16) -> int:
    """What the helper answers; its text is at CTX."""
    rig.memory.write(TOP - 16, struct.pack("<QII", at, type_id, 0))
    args = (CTX, size, TOP - 16, ptr_size, flags)
    return int(HELPERS[HELPER_IDS["snprintf_btf"]].function(rig.bound.helpers, *args))


def shown(types: Shapes, type_id: int, data: bytes, flags: int = 0) -> str:
    rig = rig_with(types, data)
    length = called(rig, type_id, flags)
    text = rig.memory.read(CTX, 1024).partition(b"\0")[0].decode("latin-1")
    assert length == len(text)
    return text


def task(types: Shapes) -> int:
    """A struct of many sorts of members."""
    state = types.add(ENUM, "state", 4, 2, struct.pack("<IIII", types.name("RUNNING"), 0, types.name("DEAD"), 16))
    pid = types.add(TYPEDEF, "pid_t", types.int)
    inner = types.struct("load", 8, ("weight", types.int, 0), ("inverse", types.int, 32))
    one_of = types.parts(UNION, "", 8, ("whole", types.u64, 0), ("low", types.int, 0))
    members = [
        ("comm", types.array(types.char, 8), 0),
        ("pid", pid, 64),
        ("state", state, 96),
        ("load", inner, 128),
        ("parent", types.add(PTR, size=types.count + 2), 192),
        ("", one_of, 256),
    ]
    return types.struct("task", 40, *members)


TASK = struct.pack("<8siiiiQQ", b"cat", 7, 0, 3, 0, 0xFFFF_8880_0000_1000, 5)


def test_a_struct_is_shown_with_the_names_and_types_of_what_is_not_zero() -> None:
    """A named enum's zero is shown too: it has a name."""
    types = Shapes()
    expected = """(struct task){
 .comm = (char[])[
  'c',
  'a',
  't',
 ],
 .pid = (pid_t)7,
 .state = (enum state)RUNNING,
 .load = (struct load){
  .weight = (int)3,
 },
 .parent = (struct task *)0xffff888000001000,
 (union){
  .whole = (long unsigned int)5,
  .low = (int)5,
 },
}
"""
    assert shown(types, task(types), TASK) == expected


def test_compact_is_one_line() -> None:
    types = Shapes()
    assert shown(types, task(types), TASK, BTF_F_COMPACT) == (
        "(struct task){.comm = (char[])['c','a','t',],.pid = (pid_t)7,.state = (enum state)RUNNING,"
        ".load = (struct load){.weight = (int)3,},.parent = (struct task *)0xffff888000001000,"
        "(union){.whole = (long unsigned int)5,.low = (int)5,},}"
    )


def test_without_names_only_brackets_are_left() -> None:
    types = Shapes()
    expected = "{['c','a','t',],7,RUNNING,{3,},0xffff888000001000,{5,5,},}"
    assert shown(types, task(types), TASK, BTF_F_COMPACT | BTF_F_NONAME | BTF_F_PTR_RAW) == expected


def test_zeros_are_shown_where_they_are_wanted() -> None:
    types = Shapes()
    flags = BTF_F_COMPACT | BTF_F_NONAME
    assert shown(types, task(types), bytes(40), flags) == "{RUNNING,}"
    zeros = "{[],0,RUNNING,{0,0,},0x0000000000000000,{0,0,},}"
    assert shown(types, task(types), bytes(40), flags | BTF_F_ZERO) == zeros


@pytest.mark.parametrize(
    ("name", "size", "encoding", "bits", "data", "expected"),
    [
        ("int", 4, SIGNED, 0, b"\xff\xff\xff\xff", "(int)-1"),
        ("unsigned int", 4, 0, 0, b"\xff\xff\xff\xff", "(unsigned int)4294967295"),
        ("short", 2, SIGNED, 0, b"\x00\x80", "(short)-32768"),
        ("u8", 1, 0, 0, b"\x80", "(u8)128"),
        ("long", 8, SIGNED, 0, b"\xfe" + b"\xff" * 7, "(long)-2"),
        ("zero", 8, 0, 0, bytes(8), "(zero)0"),
        ("__int128", 16, SIGNED, 0, bytes(8) + b"\1" + bytes(7), "(__int128)0x10000000000000000"),
        ("__int128", 16, SIGNED, 0, b"\x2a" + bytes(15), "(__int128)0x2a"),
        ("three", 1, 0, 3, b"\xff", "(three)0x7"),
    ],
)
def test_numbers(name: str, size: int, encoding: int, bits: int, data: bytes, expected: str) -> None:
    types = Shapes()
    assert shown(types, types.number(name, size, encoding, bits), data) == f"{expected}\n"


def test_bit_fields_are_shown_in_hex() -> None:
    types = Shapes()
    members = [("low", types.int, 3 << 24), ("rest", types.int, 13 << 24 | 3), ("wide", types.int, 32)]
    flags = types.parts(STRUCT, "flags", 8, *members, bit_fields=True)
    data = struct.pack("<Ii", 0x1234 << 3 | 5, -7)
    assert (
        shown(types, flags, data, BTF_F_COMPACT)
        == "(struct flags){.low = (int)0x5,.rest = (int)0x1234,.wide = (int)-7,}"
    )


def test_a_text_ends_at_its_zero_and_odd_bytes_are_numbers() -> None:
    types = Shapes()
    assert shown(types, types.array(types.char, 6), b"a\n\xffb\0c", BTF_F_COMPACT) == "(char[])['a',10,'\xff','b',]"
    assert shown(types, types.array(types.u8, 3), b"\x80\x1fz", BTF_F_COMPACT) == "(unsigned char[])[128,31,'z',]"


def test_elements_have_no_names_nor_have_their_members() -> None:
    """The bit that says so is cleared only behind the element."""
    types = Shapes()
    pair = types.struct("pair", 8, ("a", types.int, 0), ("b", types.int, 32))
    data = struct.pack("<4i", 1, 2, 3, 4)
    assert shown(types, types.array(pair, 2), data, BTF_F_COMPACT) == "(struct pair[])[1,2,},3,4,},]"


def test_of_an_array_of_pointers_the_first_is_shown_every_time() -> None:
    """Linux takes the size of an element from a field that pointers do not have, and leaves out the first bracket."""
    types = Shapes()
    pointers = types.array(types.add(PTR, size=0), 2)
    shown_as = "( *[])0x0000000000000001,0x0000000000000001,]"
    assert shown(types, pointers, struct.pack("<QQ", 1, 2), BTF_F_COMPACT) == shown_as


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda types: types.add(PTR, size=types.add(PTR, size=types.char)), "(char **)0x0000000000000001"),
        (lambda types: types.add(PTR, size=types.add(CONST, size=types.char)), "(char *)0x0000000000000001"),
        (lambda types: types.add(CONST, size=types.u64), "()1"),
        (lambda types: types.add(TYPEDEF, "size_t", types.u64), "(size_t)1"),
        (lambda types: types.add(PTR, size=types.add(FWD, "unseen")), "(unseen *)0x0000000000000001"),
    ],
)
def test_names_of_types(make: object, expected: str) -> None:
    types = Shapes()
    assert shown(types, make(types), struct.pack("<Q", 1)) == f"{expected}\n"  # type: ignore[operator]


def test_what_has_no_form_is_said() -> None:
    types = Shapes()
    held = types.struct("held", 8, ("f", types.add(FLOAT, "float", 4), 0), ("n", types.int, 32))
    assert (
        shown(types, held, struct.pack("<fi", 1.5, 9), BTF_F_COMPACT)
        == "(struct held){<unsupported kind:16>.n = (int)9,}"
    )


def test_the_whole_length_is_answered_however_little_fits() -> None:
    types = Shapes()
    rig = rig_with(types, struct.pack("<i", 12345))
    rig.memory.write(CTX, b"#" * 16)
    assert called(rig, types.int, size=8) == len("(int)12345\n")
    assert rig.memory.read(CTX, 16) == b"(int)12\0########"


@pytest.mark.parametrize(
    ("type_id", "flags", "ptr_size", "errno"),
    [
        (1, 16, 16, Errno.EINVAL),
        (1, 1 << 63, 16, Errno.EINVAL),
        (1, 0, 8, Errno.EINVAL),
        (0, 0, 16, Errno.EINVAL),
        (999, 0, 16, Errno.ENOENT),
        ((1 << 32) - 1, 0, 16, Errno.ENOENT),
    ],
)
def test_what_cannot_be_asked(type_id: int, flags: int, ptr_size: int, errno: Errno) -> None:
    assert called(rig_with(Shapes(), bytes(4)), type_id, flags, ptr_size=ptr_size) == -errno


def test_an_object_that_is_not_there_is_an_error() -> None:
    types = Shapes()
    rig = rig_with(types, bytes(4))
    assert called(rig, types.int, at=OBJECT + 4096) == -Errno.EFAULT
    assert called(rig, types.int, at=0x1000) == -Errno.ERANGE


def test_a_type_without_a_size_is_an_error() -> None:
    types = Shapes()
    unseen = types.array(types.add(FWD, "unseen"), 2)
    assert called(rig_with(types, bytes(4)), unseen) == -Errno.EINVAL


def test_an_object_that_ends_early_is_shown_up_to_there() -> None:
    """Two windows of 32 bytes: the second is not there."""
    types = Shapes()
    large = types.struct("large", 64, ("a", types.u64, 0), ("b", types.u64, 320))
    rig = rig_with(types, struct.pack("<4Q", 1, 2, 3, 4))
    assert called(rig, large, BTF_F_COMPACT) == -Errno.EFAULT
    assert rig.memory.read(CTX, 64).partition(b"\0")[0] == b"(struct large){.a = (long unsigned int)1,}"


def test_a_kernel_without_types_shows_nothing() -> None:
    rig = rig_with(Shapes(), bytes(4))
    rig.env.btf = None
    assert called(rig, 1) == -Errno.EINVAL


@given(st.binary(min_size=40, max_size=40), st.integers(0, 15), st.integers(1, 300))
@settings(max_examples=200, deadline=None)
def test_any_object_is_shown_within_its_buffer(data: bytes, flags: int, size: int) -> None:
    """The text is a prefix of the whole, and as many members are shown as are not zero."""
    types = Shapes()
    number = task(types)
    whole = shown(types, number, data, flags)
    rig = rig_with(types, data)
    rig.memory.write(CTX, b"#" * 400)
    assert called(rig, number, flags, size) == len(whole)
    assert rig.memory.read(CTX, size).startswith(whole.encode("latin-1")[: size - 1] + b"\0")
    assert rig.memory.read(CTX + size, 8) == b"#" * 8
    if not flags & BTF_F_NONAME:
        assert (".load = " in whole) == (bool(flags & BTF_F_ZERO) or any(data[16:24]))
