"""Pointers to kernel objects in a map's value: V16."""

import struct

import pytest

from kprobesim.bpf import assemble
from kprobesim.bpf.object.value_fields import ValueFields, value_fields
from kprobesim.bpf.verifier import Kptr, parse_map_spec, verify
from kprobesim.image import Btf
from tests.bpf.object.elf_builder import Types
from tests.bpf.verifier.bench import message

PTR, STRUCT, VAR, DATASEC, TYPE_TAG = 2, 4, 14, 15, 18
VALUE = parse_map_spec("ARRAY 4/32/1 (kptr at 8 to task_struct, kptr_ref at 16 to task_struct)")
LOOKUP = """
    .map m array key=4 value=32 max_entries=1
    *(u32 *)(r10 -4) = 0
    r2 = r10
    r2 += -4
    r1 = map m
    call bpf_map_lookup_elem
    if r0 != 0 goto there
    exit
there:
"""


def said(text: str) -> str:
    """The last words on a program that has such a value in R0."""
    verdict = verify(assemble(LOOKUP + text).insns, "sched_cls", lambda slot, insn: VALUE, log_level=2)
    return message(verdict) if verdict.rejected else ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*(u64 *)(r0 +8) = 0", ""),
        ("*(u64 *)(r0 +8) = 1", "BPF_ST imm must be 0 when storing to kptr at off=8"),
        ("*(u32 *)(r0 +8) = 0", "kptr access size must be BPF_DW"),
        ("r1 = *(u8 *)(r0 +9)", "kptr access misaligned expected=8 off=9"),
        ("*(u64 *)(r0 +16) = 0", "store to referenced kptr disallowed"),
        (
            "*(u64 *)(r0 +8) = r10",
            "invalid kptr access, R10 type=fp expected=ptr_task_struct or untrusted_ptr_task_struct",
        ),
        ("r1 = *(u64 *)(r0 +8)\nr1 = *(u64 *)(r1 +0)", "R1 invalid mem access 'untrusted_ptr_or_null_'"),
        ("r1 = *(u64 *)(r0 +8)\n*(u64 *)(r0 +8) = r1", ""),
        (
            "r1 = 1\nlock *(u64 *)(r0 +8) += r1",
            "kptr in map can only be accessed using BPF_MEM instruction mode",
        ),
        ("r1 = *(u8 *)(r0 +0)\nr1 &= 1\nr0 += r1\nr1 = *(u64 *)(r0 +8)", "kptr access cannot have variable offset"),
    ],
)
def test_a_pointer_in_a_value_is_loaded_and_stored_whole(text: str, expected: str) -> None:
    assert said(f"{text}\nr0 = 0\nexit\n") == expected


def test_a_helper_may_not_write_over_a_pointer() -> None:
    text = "r1 = r0\nr2 = 16\nr3 = 0\ncall bpf_probe_read_kernel\nr0 = 0\nexit\n"
    verdict = verify(assemble(LOOKUP + text).insns, "kprobe", lambda slot, insn: VALUE, log_level=2)
    assert message(verdict) == "kptr cannot be accessed indirectly by helper"


@pytest.mark.parametrize(
    ("off", "expected"),
    [(8, "off=8 kptr isn't referenced kptr"), (0, "off=0 doesn't point to kptr"), (16, "")],
)
def test_only_a_referenced_pointer_is_exchanged(off: int, expected: str) -> None:
    text = f"r1 = r0\nr1 += {off}\nr2 = 0\ncall bpf_kptr_xchg\nif r0 == 0 goto out\n"
    verdict = said(f"{text}out:\nr0 = 0\nexit\n")
    assert verdict == (expected or "Unreleased reference id=3 alloc_insn=11")


def _btf() -> tuple[Types, int]:
    types = Types()
    target = types.add(STRUCT, "task_struct", 0)
    lock = types.add(STRUCT, "bpf_spin_lock", 4)
    timer = types.add(STRUCT, "bpf_timer", 16)
    plain = types.add(PTR, size=types.add(TYPE_TAG, "kptr", target))
    owned = types.add(PTR, size=types.add(TYPE_TAG, "kptr_ref", target))
    untagged = types.add(PTR, size=target)
    name = types.name("x")
    placed = [(lock, 0), (timer, 8), (plain, 24), (owned, 32), (untagged, 40)]
    extra = b"".join(struct.pack("<III", name, member, off * 8) for member, off in placed)
    return types, types.add(STRUCT, "value", 48, len(placed), extra)


def test_types_tell_where_a_value_has_its_lock_its_timer_and_its_pointers() -> None:
    types, value = _btf()
    found = value_fields(Btf.parse(types.bytes()), value)
    assert found == ValueFields(0, 8, (Kptr(24, "task_struct", False), Kptr(32, "task_struct", True)))


def test_a_lock_among_global_variables_is_found() -> None:
    types, _ = _btf()
    var = types.add(VAR, "lock", 2, 0, struct.pack("<I", 1))
    section = types.add(DATASEC, ".bss", 64, 1, struct.pack("<III", var, 12, 4))
    assert value_fields(Btf.parse(types.bytes()), section).spin_lock == 12


def test_a_value_without_a_type_has_nothing_special() -> None:
    types, _ = _btf()
    assert value_fields(Btf.parse(types.bytes()), 0) == ValueFields()
