"""Bytes shown as the value that their type says they are."""

import pytest

from kprobesim.bpf import MapSpec
from kprobesim.bpf.object import ObjectError
from kprobesim.image import Btf, BtfKind, BtfMember, BtfType, Enumerator
from kprobesim.tracing.bpf_ids import MapTypes
from kprobesim.tracing.bpftool.answer import json_text
from kprobesim.tracing.bpftool.elements import Element, on_all_cpus
from kprobesim.tracing.bpftool.values import hex_bytes, value_of

VOID = BtfType(0, BtfKind.VOID, "void")
INT = BtfType(1, BtfKind.INT, "int", 4, encoding=1, bits=32)
CHAR = BtfType(2, BtfKind.INT, "char", 1, encoding=1, bits=8)
TEXT = BtfType(3, BtfKind.ARRAY, "", target=2, index_type=1, count=4)
COLOUR = BtfType(4, BtfKind.ENUM, "colour", 4, enumerators=(Enumerator("RED", 1),))
POINTER = BtfType(5, BtfKind.PTR, "", target=1)
BOOL = BtfType(6, BtfKind.INT, "_Bool", 1, encoding=4, bits=8)
BITS = BtfType(7, BtfKind.STRUCT, "bits", 4, members=(BtfMember("low", 1, 0, 3), BtfMember("high", 1, 3, 5)))
TYPES = Btf((VOID, INT, CHAR, TEXT, COLOUR, POINTER, BOOL, BITS))


@pytest.mark.parametrize(
    ("type_id", "data", "shown"),
    [
        (1, "feffffff", -2),
        (3, "61620000", "ab"),
        (3, "61626364", [97, 98, 99, 100]),
        (3, "61010000", [97, 1, 0, 0]),
        (4, "01000000", "RED"),
        (4, "05000000", 5),
        (5, "0010000000000000", "0x1000"),
        (6, "01", True),
        (7, "ff000000", {"low": -1, "high": -1}),
        (7, "0b000000", {"low": 3, "high": 1}),
    ],
)
def test_each_kind_of_type(type_id: int, data: str, shown: object) -> None:
    """An array of char is a text only if a zero ends it and all before can be printed."""
    assert value_of(TYPES, type_id, bytes.fromhex(data), plain=True) == shown


def test_pointers_are_numbers_for_programs() -> None:
    assert value_of(TYPES, 5, (4096).to_bytes(8, "little"), plain=False) == 4096


def test_a_type_that_unfolds_without_end_is_refused() -> None:
    """Sixteen levels of structs, each holding the one below four times."""
    types = [VOID, INT]
    for number in range(2, 18):
        members = tuple(BtfMember(f"m{place}", number - 1, 0) for place in range(4))
        types.append(BtfType(number, BtfKind.STRUCT, f"s{number}", 4, members=members))
    with pytest.raises(ObjectError, match="unfolds without end"):
        value_of(Btf(tuple(types)), 17, bytes(4), plain=True)


def test_hex_has_a_wider_gap_in_the_middle_and_sixteen_bytes_a_line() -> None:
    lines = hex_bytes(bytes(range(18))).split("\n")
    assert lines == ["00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f", "10 11"]


def test_json_breaks_lines_before_names_and_closing_brackets_only() -> None:
    value = {"a": [1, {"b": True}], "c": '"x"\n'}
    assert json_text(value, pretty=False) == '{"a":[1,{"b":true}],"c":"\\"x\\"\\n"}\n'
    assert json_text(value, pretty=True) == (
        '{\n    "a": [1,{\n            "b": true\n        }\n    ],\n    "c": "\\"x\\"\\n"\n}\n'
    )


def test_a_value_for_each_cpu_is_shown_as_the_real_tool_does() -> None:
    """Values are filled up to 8 bytes each; Found N elements is the command's."""
    spec = MapSpec("percpu_array", 4, 4, 1)
    value = on_all_cpus(spec, (5).to_bytes(4, "little"), 2)
    element = Element(spec, bytes(4), value)
    assert len(value) == 16
    assert element.text() == (
        "key: 00 00 00 00\nvalue (CPU 00): 05 00 00 00\nvalue (CPU 01): 05 00 00 00\n"
    )  # fmt: skip
    types = MapTypes(2, 1, 1, False)
    assert element.formatted(types, TYPES, plain=True) == {
        "key": 0,
        "values": [{"cpu": 0, "value": 5}, {"cpu": 1, "value": 5}],
    }


def test_short_elements_are_on_one_line_and_long_ones_are_not() -> None:
    short = Element(MapSpec("hash", 4, 8, 3), bytes([2, 0, 0, 0]), bytes([2]) + bytes(7))
    assert short.text() == "key: 02 00 00 00  value: 02 00 00 00 00 00 00 00\n"
    long = Element(MapSpec("hash", 4, 20, 3), bytes(4), bytes(20))
    assert long.text().splitlines()[0] == "key:"
