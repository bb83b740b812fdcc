"""Types as one C header."""

import re

import pytest

from kprobesim.errors import ImageError
from kprobesim.image import Btf, BtfKind, BtfMember, BtfType, open_image
from kprobesim.image.btf_header import c_header

VOID = BtfType(0, BtfKind.VOID, "void")
INT = BtfType(1, BtfKind.INT, "int", 4, encoding=1, bits=32)


def test_a_type_stands_behind_what_it_contains_and_pointers_need_only_a_name() -> None:
    outer = BtfType(2, BtfKind.STRUCT, "outer", 16, members=(BtfMember("in", 3, 0), BtfMember("next", 4, 64)))
    inner = BtfType(3, BtfKind.STRUCT, "inner", 4, members=(BtfMember("x", 1, 0),))
    text = c_header(Btf((VOID, INT, outer, inner, BtfType(4, BtfKind.PTR, "", target=2))))
    assert text.index("struct inner;") < text.index("struct inner {") < text.index("struct outer {")
    assert "\tstruct outer *next;" in text


def test_every_struct_of_the_kernel_is_defined_once() -> None:
    types = Btf.from_image(open_image("toyix"))
    text = c_header(types)
    defined = re.findall(r"^(?:struct|union) (\w+) \{", text, re.MULTILINE)
    wanted = {entry.name for entry in types if entry.kind in (BtfKind.STRUCT, BtfKind.UNION) and entry.name}
    assert sorted(defined) == sorted(wanted)


def test_types_that_the_kernel_lacks_but_programs_use_are_added() -> None:
    own = BtfType(2, BtfKind.TYPEDEF, "__u32", target=1)
    text = c_header(Btf((VOID, INT, own)))
    assert "typedef unsigned long long __u64;" in text
    assert text.count("__u32;") == 1


def test_a_struct_that_contains_itself_through_arrays_ends() -> None:
    """Hostile types: an array of structs that hold the array."""
    array = BtfType(2, BtfKind.ARRAY, "", target=3, index_type=1, count=2)
    struct = BtfType(3, BtfKind.STRUCT, "loop", 8, members=(BtfMember("again", 2, 0),))
    text = c_header(Btf((VOID, INT, array, struct)))
    assert "struct loop {" in text


def test_types_that_are_too_deep_are_refused() -> None:
    chain = [BtfType(number, BtfKind.TYPEDEF, f"t{number}", target=number + 1) for number in range(1, 60)]
    with pytest.raises(ImageError, match="itself"):
        c_header(Btf((VOID, *chain, BtfType(60, BtfKind.INT, "int", 4, bits=32))))
