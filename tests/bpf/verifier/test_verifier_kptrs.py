"""Pointers to kernel objects in a map's value: V16."""

import struct
from dataclasses import replace

import pytest

from kprobesim.bpf import MapSpec, assemble
from kprobesim.bpf.object.value_fields import ValueFields, value_fields
from kprobesim.bpf.verifier import Kptr, MapMeta, parse_map_spec, verify
from kprobesim.image import Btf, BtfKind
from kprobesim.linux_errno import Errno
from tests.bpf.object.elf_builder import Types
from tests.bpf.object.objects import toyix
from tests.bpf.verifier.bench import message

INT, PTR, ARRAY, STRUCT, VAR, DATASEC, TYPE_TAG = 1, 2, 3, 4, 14, 15, 18
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


def said(text: str, value: MapMeta = VALUE) -> str:
    """The last words on a program that has such a value in R0."""
    verdict = verify(assemble(LOOKUP + text).insns, "sched_cls", lambda slot, insn: value, log_level=2)
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


def stored(expression: str, wanted: str) -> str:
    """The last words on a program at vfs_read that stores what it makes of its file as a pointer to such a struct."""
    value = parse_map_spec(f"ARRAY 4/32/1 (kptr at 8 to {wanted})")
    text = f"r6 = r1\n{LOOKUP}r1 = *(u64 *)(r6 +0)\n{expression}*(u64 *)(r0 +8) = r1\nr0 = 0\nexit\n"
    text = text.replace("exit\nthere", "r0 = 0\nexit\nthere")
    options = {"attach_func": "vfs_read", "btf": toyix().btf}
    verdict = verify(assemble(text).insns, "tracing", lambda slot, insn: value, log_level=2, **options)  # type: ignore[arg-type]
    return message(verdict) if verdict.rejected else ""


def test_a_pointer_to_a_struct_is_one_to_the_struct_that_it_begins_with() -> None:
    """toyix's struct file begins with its path, which begins with no struct."""
    first = toyix().btf.strip(toyix().btf.find("file", BtfKind.STRUCT).members[0].type_id)  # type: ignore[union-attr]
    assert first.name == "path"
    assert stored("", "file") == ""
    assert stored("", "path") == ""
    both = "expected=ptr_dentry or untrusted_ptr_dentry"
    assert stored("", "dentry") == f"invalid kptr access, R1 type=ptr_file {both}"


def test_a_pointer_into_a_struct_is_one_to_what_begins_there() -> None:
    btf = toyix().btf
    file = btf.find("file", BtfKind.STRUCT)
    assert file is not None
    inner, off = next(
        (btf.strip(member.type_id), member.bit_offset // 8)
        for member in file.members[1:]
        if btf.strip(member.type_id).kind is BtfKind.STRUCT and btf.strip(member.type_id).name
    )
    assert stored(f"r1 += {off}\n", inner.name) == ""
    wrong = f"invalid kptr access, R1 type=ptr_file expected=ptr_{inner.name} or untrusted_ptr_{inner.name}"
    assert stored(f"r1 += {off + 1}\n", inner.name) == wrong
    assert stored(f"r1 += {file.size + 8}\n", inner.name) == wrong
    assert stored("", inner.name) == wrong


TIMERS = "call bpf_timer_cancel\n"
LOCKS = "call bpf_spin_lock\n"


@pytest.mark.parametrize(
    ("call", "name", "errno", "expected"),
    [
        (LOCKS, "bpf_spin_lock", None, "doesn't have 'struct bpf_spin_lock'"),
        (LOCKS, "bpf_spin_lock", Errno.E2BIG, "has more than one 'struct bpf_spin_lock'"),
        (LOCKS, "bpf_spin_lock", Errno.EINVAL, "is not a struct type or bpf_spin_lock is mangled"),
        (TIMERS, "bpf_timer", None, "doesn't have 'struct bpf_timer'"),
        (TIMERS, "bpf_timer", Errno.E2BIG, "has more than one 'struct bpf_timer'"),
        (TIMERS, "bpf_timer", Errno.EINVAL, "is not a struct type or bpf_timer is mangled"),
        ("r2 = 0\ncall bpf_kptr_xchg\n", "kptr", None, "has no valid kptr"),
        ("r2 = 0\ncall bpf_kptr_xchg\n", "kptr", Errno.E2BIG, "has more than 8 kptr"),
        ("r2 = 0\ncall bpf_kptr_xchg\n", "kptr", Errno.EINVAL, "has no valid kptr"),
    ],
)
def test_the_log_says_why_a_value_has_nothing_to_use(call: str, name: str, errno: Errno | None, expected: str) -> None:
    value = parse_map_spec("ARRAY 4/32/1")
    value = replace(value, name="m", has_btf=True, lacks={name: errno} if errno else {})
    assert said(f"r1 = r0\n{call}r0 = 0\nexit\n", value) == f"map 'm' {expected}"


class Value(Types):
    """A value in the making."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = self.add(STRUCT, "bpf_spin_lock", 4)
        self.timer = self.add(STRUCT, "bpf_timer", 16)
        self.int = self.add(INT, "int", 4, extra=struct.pack("<I", 1 << 24 | 32))
        self.task = self.add(STRUCT, "task_struct", 0)

    def tagged(self, *tags: str, to: int | None = None) -> int:
        target = self.task if to is None else to
        for tag in tags:
            target = self.add(TYPE_TAG, tag, target)
        return self.add(PTR, size=target)

    def fields(self, *members: tuple[int, int], kernel: Btf | None = None) -> ValueFields:
        extra = b"".join(struct.pack("<III", self.name("x"), member, off * 8) for member, off in members)
        value = self.add(STRUCT, "value", 256, len(members), extra)
        return value_fields(Btf.parse(self.bytes()), value, kernel)


def test_a_value_has_one_lock_and_one_timer() -> None:
    value = Value()
    found = value.fields((value.lock, 0), (value.timer, 8), (value.lock, 24), (value.timer, 32))
    assert found == ValueFields(lacks={"bpf_spin_lock": Errno.E2BIG, "bpf_timer": Errno.E2BIG})


def test_locks_and_timers_are_aligned_and_of_their_size() -> None:
    value = Value()
    assert value.fields((value.lock, 2), (value.timer, 12)).lacks == {
        "bpf_spin_lock": Errno.EINVAL,
        "bpf_timer": Errno.EINVAL,
        "kptr": Errno.EINVAL,
    }
    small = value.add(STRUCT, "bpf_timer", 8)
    assert value.fields((small, 0)) == ValueFields()


def test_a_value_that_is_no_struct_has_no_fields_to_look_for() -> None:
    value = Value()
    found = value_fields(Btf.parse(value.bytes()), value.int)
    assert found.lacks == {"bpf_spin_lock": Errno.EINVAL, "bpf_timer": Errno.EINVAL, "kptr": Errno.EINVAL}


def test_a_value_has_at_most_eight_pointers() -> None:
    value = Value()
    pointer = value.tagged("kptr")
    eight = [(pointer, 8 * number) for number in range(8)]
    assert len(value.fields(*eight).kptrs) == 8
    assert value.fields(*eight, (pointer, 64)) == ValueFields(lacks={"kptr": Errno.E2BIG})


def test_one_odd_pointer_or_member_makes_all_pointers_useless() -> None:
    """A number at offset 12 is enough, as in Linux 6.1."""
    value = Value()
    good = value.tagged("kptr"), 0
    for odd in (
        (value.tagged("user"), 8),
        (value.tagged("kptr", "kptr"), 8),
        (value.tagged("kptr", to=value.int), 8),
        (value.int, 12),
    ):
        assert value.fields(good, odd) == ValueFields(lacks={"kptr": Errno.EINVAL})
    assert value.fields(good, (value.tagged(), 8), (value.int, 16)).kptrs == (Kptr(0, "task_struct", False),)


def test_pointers_lead_to_structs_that_the_kernel_knows_and_can_give_up() -> None:
    """No type of this kernel has a destructor, so none is kept with a reference."""
    value, kernel = Value(), toyix().btf
    unknown = value.add(STRUCT, "no_such_struct", 8)
    assert value.fields((value.tagged("kptr"), 0), kernel=kernel).kptrs
    assert value.fields((value.tagged("kptr", to=unknown), 0), kernel=kernel).lacks == {"kptr": Errno.ENOENT}
    assert value.fields((value.tagged("kptr_ref"), 0), kernel=kernel).lacks == {"kptr": Errno.ENOENT}


@pytest.mark.parametrize(
    ("kind", "flags", "lock", "timer", "kptr"),
    [
        ("array", 0, True, True, True),
        ("hash", 0, True, True, True),
        ("lru_hash", 0, False, True, True),
        ("percpu_array", 0, False, False, True),
        ("percpu_hash", 0, False, False, False),
        ("array", 1 << 7, False, False, False),
        ("array", 1 << 8, True, True, False),
    ],
)
def test_which_maps_take_which_fields(kind: str, flags: int, lock: bool, timer: bool, kptr: bool) -> None:
    """Others are made without types."""
    spec = MapSpec(kind, 4, 32, 1, flags)
    assert ValueFields().fit(spec)
    assert ValueFields(spin_lock=0).fit(spec) == lock
    assert ValueFields(timer=0).fit(spec) == timer
    assert ValueFields(kptrs=(Kptr(0, "task_struct", False),)).fit(spec) == kptr
