"""BTF: every kind, members by path, C text, and nothing but ImageError for damage."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.errors import ImageError
from kprobesim.image import Btf, BtfKind, KernelImage, MemberPlace
from tests.image.btf_writer import BtfWriter
from tests.image.elf_writer import WrittenSection, small_kernel

SIGNED, CHAR, BOOL = 1, 2, 4


class Sample:
    """The types of a small kernel."""

    def __init__(self) -> None:
        writer = BtfWriter()
        self.int = writer.integer("int", 4, SIGNED)
        self.char = writer.integer("char", 1, CHAR)
        self.ulong = writer.integer("unsigned long", 8)
        self.const_char = writer.add(10, "", self.char)
        self.string = writer.pointer(self.const_char)
        self.name = writer.array(self.char, self.int, 16)
        self.dentry = writer.struct("dentry", 24, [("d_name", self.string, 0), ("d_iname", self.name, 64)])
        self.dentry_pointer = writer.pointer(self.dentry)
        self.path = writer.struct("path", 8, [("dentry", self.dentry_pointer, 0)])
        self.inner = writer.struct("", 8, [("f_mode", self.int, 0), ("f_flags", self.int, 32)])
        self.either = writer.struct("", 8, [("", self.inner, 0), ("f_word", self.ulong, 0)], union=True)
        self.paths = writer.array(self.path, self.int, 4)
        self.file = writer.struct(
            "file", 48, [("f_path", self.path, 0), ("", self.either, 64), ("f_more", self.paths, 128)]
        )
        self.file_pointer = writer.pointer(self.file)
        self.bits = writer.bit_struct("bits", 4, [("low", self.int, 0, 3), ("high", self.int, 3, 10)])
        self.state = writer.enum("state", {"RUNNING": 0, "DEAD": 128})
        self.signed_enum = writer.enum("error", {"OK": 0, "BAD": -1}, signed=True)
        self.wide = writer.enum64("wide", {"TOP": 1 << 63})
        self.wide_signed = writer.enum64("deep", {"BOTTOM": -(1 << 63)}, signed=True)
        self.size_t = writer.add(8, "size_t", self.ulong)
        self.read_proto = writer.proto(
            self.int, [("file", self.file_pointer), ("buf", self.string), ("count", self.size_t)]
        )
        self.read = writer.add(12, "vfs_read", self.read_proto, vlen=1)
        self.printk_proto = writer.proto(self.int, [("fmt", self.string), ("", 0)])
        self.handler = writer.pointer(self.printk_proto)
        self.volatile = writer.add(9, "", self.int)
        self.restrict = writer.add(11, "", self.string)
        self.forward = writer.add(7, "module", 0)
        self.forward_union = writer.add(7, "either", 0, flag=True)
        self.var = writer.add(14, "jiffies", self.ulong, extra=(1).to_bytes(4, "little"))
        self.datasec = writer.add(
            15, ".data", 8, vlen=1, extra=self.var.to_bytes(4, "little") + bytes(4) + (8).to_bytes(4, "little")
        )
        self.float = writer.add(16, "double", 8)
        self.decl_tag = writer.add(17, "tag", self.var, extra=b"\xff\xff\xff\xff")
        self.type_tag = writer.add(18, "user", self.char)
        self.user_pointer = writer.pointer(self.type_tag)
        self.data = writer.build()


IDS = Sample()
BTF = Btf.parse(IDS.data)


def test_every_kind_is_read() -> None:
    assert {entry.kind for entry in BTF} == set(BtfKind)


def test_types_are_found_by_name_and_kind() -> None:
    assert BTF.find("file") == BTF.type(IDS.file)
    assert BTF.find("file", BtfKind.ENUM) is None
    assert BTF.find("nothing") is None
    with pytest.raises(ImageError, match="no type 999"):
        BTF.type(999)


@pytest.mark.parametrize(
    ("struct", "path", "place"),
    [
        ("file", "f_path", MemberPlace(0, 0, 0, 8, IDS.path)),
        ("file", "f_path.dentry", MemberPlace(0, 0, 0, 8, IDS.dentry_pointer)),
        ("file", "f_flags", MemberPlace(12, 0, 0, 4, IDS.int)),
        ("file", "f_word", MemberPlace(8, 0, 0, 8, IDS.ulong)),
        ("file", "f_more", MemberPlace(16, 0, 0, 32, IDS.paths)),
        ("file", "f_more[2].dentry", MemberPlace(32, 0, 0, 8, IDS.dentry_pointer)),
        ("dentry", "d_iname[15]", MemberPlace(23, 0, 0, 1, IDS.char)),
        ("bits", "low", MemberPlace(0, 0, 3, 4, IDS.int)),
        ("bits", "high", MemberPlace(0, 3, 10, 4, IDS.int)),
    ],
)
def test_members_are_found_by_path(struct: str, path: str, place: MemberPlace) -> None:
    assert BTF.struct_member(struct, path) == place


@pytest.mark.parametrize(
    "path", ["", ".", "nope", "f_path.", "f_path.dentry.d_name", "f_path[0]", "f_more[x]", "f_more[1"]
)
def test_a_path_that_leads_nowhere_finds_nothing(path: str) -> None:
    assert BTF.struct_member("file", path) is None
    assert BTF.struct_member("no_such_struct", path) is None


def test_sizes() -> None:
    sizes = {
        name: BTF.size_of(getattr(IDS, name)) for name in ("int", "string", "name", "file", "paths", "size_t", "var")
    }
    assert sizes == {"int": 4, "string": 8, "name": 16, "file": 48, "paths": 32, "size_t": 8, "var": 8}
    assert BTF.size_of(0) == 0


def test_enumerators_keep_their_sign_and_width() -> None:
    def values(type_id: int) -> dict[str, int]:
        return {value.name: value.value for value in BTF.type(type_id).enumerators}

    assert values(IDS.state) == {"RUNNING": 0, "DEAD": 128}
    assert values(IDS.signed_enum) == {"OK": 0, "BAD": -1}
    assert values(IDS.wide) == {"TOP": 1 << 63}
    assert values(IDS.wide_signed) == {"BOTTOM": -(1 << 63)}
    assert BTF.type(IDS.int).is_signed
    assert not BTF.type(IDS.ulong).is_signed


def test_a_function_has_parameters() -> None:
    found = BTF.function("vfs_read")
    assert found is not None
    parameters, returns = found
    assert [parameter.name for parameter in parameters] == ["file", "buf", "count"]
    assert [BTF.type_name(parameter.type_id) for parameter in parameters] == ["struct file *", "const char *", "size_t"]
    assert returns == IDS.int
    assert BTF.function("file") is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("handler", "int (*)(const char *fmt, ...)"),
        ("volatile", "volatile int"),
        ("restrict", "const char *restrict"),
        ("name", "char [16]"),
        ("forward", "struct module"),
        ("forward_union", "union either"),
        ("user_pointer", "char *"),
        ("var", "unsigned long jiffies"),
    ],
)
def test_type_names_read_as_c(name: str, text: str) -> None:
    assert BTF.type_name(getattr(IDS, name)).replace(" )", ")") == text


def test_a_struct_prints_as_bpftool_does() -> None:
    assert BTF.format_c(IDS.file).splitlines() == [
        "struct file {",
        "\tstruct path f_path;",
        "\tunion {",
        "\t\tstruct {",
        "\t\t\tint f_mode;",
        "\t\t\tint f_flags;",
        "\t\t};",
        "\t\tunsigned long f_word;",
        "\t};",
        "\tstruct path f_more[4];",
        "};",
    ]
    assert BTF.format_c(IDS.bits).splitlines()[1:3] == ["\tint low: 3;", "\tint high: 10;"]
    assert BTF.format_c(IDS.state) == "enum state {\n\tRUNNING = 0,\n\tDEAD = 128,\n};"
    assert BTF.format_c(IDS.size_t) == "typedef unsigned long size_t;"


def test_types_come_from_an_image() -> None:
    writer = small_kernel()
    assert len(Btf.from_image(KernelImage.open(writer.build()))) == 1
    writer.sections.append(WrittenSection(".BTF", IDS.data))
    assert Btf.from_image(KernelImage.open(writer.build())) == BTF


def test_types_in_a_circle_are_errors() -> None:
    writer = BtfWriter()
    typedef = writer.add(8, "a", 2)
    writer.add(8, "b", 1)
    array = writer.array(3, 1, 1 << 31)
    writer.struct("u", 8, [("", 4, 0)], union=True)
    pointer = writer.pointer(5)
    variable = writer.add(14, "v", 7, extra=bytes(4))
    writer.add(8, "c", 6)
    btf = Btf.parse(writer.build())
    # A typedef's name is its text, so only nameless types can run in a circle there.
    for broken in (typedef, array, variable):
        with pytest.raises(ImageError):
            btf.size_of(broken)
    assert btf.struct_member("u", "x") is None
    for broken in (array, pointer):
        with pytest.raises(ImageError):
            btf.type_name(broken)


def test_a_struct_that_doubles_at_each_level_is_bounded() -> None:
    writer = BtfWriter()
    inner = writer.integer("int", 4)
    for _ in range(30):
        inner = writer.struct("", 4, [("", inner, 0), ("", inner, 0)], union=True)
    writer.struct("bomb", 4, [("", inner, 0)])
    btf = Btf.parse(writer.build())
    assert btf.struct_member("bomb", "x") is None
    bomb = btf.find("bomb")
    assert bomb is not None
    with pytest.raises(ImageError):
        btf.format_c(bomb.id)


@pytest.mark.parametrize("length", range(0, len(IDS.data), 29))
def test_btf_cut_off_anywhere_is_an_error(length: int) -> None:
    with pytest.raises(ImageError):
        Btf.parse(IDS.data[:length])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(IDS.data) - 1), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_btf_raises_image_error_or_works(changes: list[tuple[int, int]]) -> None:
    spoiled = bytearray(IDS.data)
    for at, value in changes:
        spoiled[at] = value
    try:
        btf = Btf.parse(bytes(spoiled))
    except ImageError:
        return
    for entry in btf:
        for ask in (btf.format_c, btf.type_name, btf.size_of):
            try:
                ask(entry.id)
            except ImageError as error:
                assert str(error)
