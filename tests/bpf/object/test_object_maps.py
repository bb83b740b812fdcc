"""Maps that objects declare."""

import pytest

from kprobesim.bpf import MapSpec
from kprobesim.bpf.object import ObjectError, load_object
from kprobesim.bpf.object.verify import verify_object_program
from tests.bpf.object.objects import contents, loaded, program, run, variables


def test_sizes_come_from_types_or_from_numbers_and_long_names_are_cut() -> None:
    specs = {made.name: made.spec for made in loaded("maps").maps}
    assert specs == {
        "inner_one": MapSpec("array", 4, 8, 4, 0, "inner_one"),
        "inner_two": MapSpec("array", 4, 8, 4, 0, "inner_two"),
        "outer": MapSpec("array_of_maps", 4, 4, 3, 0, "outer"),
        "jumps": MapSpec("prog_array", 4, 4, 2, 0, "jumps"),
        "a_name_longer_than_15": MapSpec("hash", 20, 8, 64, 1, "a_name_longer_t"),
    }


def test_maps_of_maps_and_of_programs_know_what_to_begin_with() -> None:
    maps = {made.name: made for made in loaded("maps").maps}
    assert dict(maps["outer"].slots) == {0: "inner_one", 2: "inner_two"}
    assert maps["outer"].inner == MapSpec("array", 4, 8, 4, 0, "outer.inner")
    assert dict(maps["jumps"].slots) == {1: "leaf"}


def test_a_map_is_pinned_only_if_it_says_so() -> None:
    assert {made.name for made in loaded("maps").maps if made.pinned} == {"a_name_longer_than_15"}


def test_variables_are_arrays_of_one_value_named_after_the_object() -> None:
    """The name is the object's up to its first dot, and the section's; flags as libbpf gives them."""
    maps = {made.section: made for made in loaded("globals").maps}
    assert {section: (made.spec.name, made.spec.flags, made.frozen) for section, made in maps.items()} == {
        ".rodata": ("globals.rodata", 0x480, True),
        ".data": ("globals.data", 0x400, False),
        ".bss": ("globals.bss", 0x400, False),
    }
    assert maps[".data"].initial == (40).to_bytes(8, "little")
    assert maps[".bss"].initial == bytes(40)


def test_an_object_with_a_long_name_still_has_its_sections_name_in_full() -> None:
    found = load_object(contents("globals"), "/somewhere/a_very_long_name.bpf.o")
    assert [made.spec.name for made in found.maps] == ["a_very_l.rodata", "a_very_l.data", "a_very_l.bss"]


def test_programs_use_the_initial_values() -> None:
    live = run("globals", "on_read")
    assert variables("globals", ".bss", live)["calls"] == 7


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"max_entries\0", b"max_entriez\0", "unknown field 'max_entriez'"),
        (b".maps\0", b".mapz\0", "neither a map nor a variable nor a function"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused_in_a_sentence(old: bytes, new: bytes, said: str) -> None:
    with pytest.raises(ObjectError, match=said):
        load_object(contents("count").replace(old, new), "count.o")


def test_legacy_maps_are_refused() -> None:
    legacy = contents("count").replace(b"\0.maps\0", b"\0maps\0\0")
    with pytest.raises(
        ObjectError, match=r"legacy map definitions in section 'maps' are not supported by libbpf v1\.0"
    ):
        load_object(legacy, "count.o")


def test_sections_with_names_of_their_own_are_maps_of_that_name() -> None:
    """libbpf: a name with two dots is the map's whole name; a literal's section has no types and is not mmapable."""
    maps = {made.section: made for made in loaded("strings").maps}
    assert {section: (made.spec.name, made.spec.flags) for section, made in maps.items()} == {
        ".rodata.limits": (".rodata.limits", 0x480),
        ".bss": ("strings.bss", 0x400),
        ".rodata.str1.1": (".rodata.str1.1", 0x80),
        ".data.counters": (".data.counters", 0x400),
    }
    assert (maps[".rodata.str1.1"].initial, maps[".rodata.str1.1"].value_type) == (b"a literal\0", 0)
    verdict = verify_object_program(loaded("strings"), program("strings", "copies"))
    assert verdict.rejected is None
