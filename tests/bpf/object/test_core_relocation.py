"""CO-RE against a kernel whose types are another object's. Reference: V16, its CO-RE part."""

import pytest

from kprobesim.bpf import insn_text
from kprobesim.bpf.object import POISON, Kernel, ObjectError, load_object
from kprobesim.bpf.object.core_types import essential_name
from kprobesim.bpf.object.verify import verify_object_program
from tests.bpf.object.objects import contents, loaded, program, run, toyix, variables

KERNEL = "kernel_types"


def test_every_question_has_the_kernels_answer() -> None:
    """Offsets through anonymous members and arrays, sizes, bit fields, existence, types, enumerators."""
    types, local = loaded(KERNEL).btf, loaded("core_fields", KERNEL).btf
    assert types is not None and local is not None
    kernel, own = types.find("moved"), local.find("moved")
    assert kernel is not None and own is not None
    answers = variables("core_fields", ".bss", run("core_fields", "ask", KERNEL), KERNEL)["answers"]
    assert answers == {
        "first": 8,
        "deep": 16,
        "widened_offset": 32,
        "widened_size": 8,
        "letters": 12,
        "fourth_letter": 21,
        "tail": 72 + 5 * 4,
        "pointer": 56,
        "middle_offset": 48,
        "middle_size": 4,
        "middle_signed": 0,
        "middle_left": 64 - 12,
        "middle_right": 64 - 9,
        "negative_signed": 1,
        "has_first": 1,
        "has_gone": 0,
        "has_wrong_kind": 0,
        "inside": 1,
        "size": 72,
        "exists": 1,
        "nowhere": 0,
        "local_id": own.id,
        "kernel_id": kernel.id,
        "has_blue": 1,
        "has_purple": 0,
        "blue": 30,
        "green": (1 << 64) - 20,
    }


def test_a_load_takes_offset_and_size_of_the_kernels_field() -> None:
    loads = program("core_fields", "loads", KERNEL)
    assert insn_text(loads.insns, 2) == "(79) r0 = *(u64 *)(r1 +32)"


def test_a_signed_field_of_another_size_is_poisoned_and_said_to_be_so() -> None:
    poisoned = program("core_fields", "loads_signed", KERNEL)
    assert poisoned.insns[0] == POISON
    assert poisoned.unresolved == {0: "struct moved___signed.signed_widened, which has another size and is signed"}


def test_the_verifier_refuses_an_unresolved_access_only_where_it_can_be_reached() -> None:
    """libbpf's number 195896080 is in the message; the hint says what the kernel lacks."""
    found = loaded("core")
    refused = verify_object_program(found, program("core", "unresolved")).rejected
    assert refused is not None
    assert refused.message == "invalid func unknown#195896080"
    assert "struct file___new.member_of_the_future" in refused.hint
    behind_a_question = program("core", "relocated")
    assert POISON in behind_a_question.insns
    assert verify_object_program(found, behind_a_question).rejected is None


def test_without_a_kernel_the_compilers_own_offsets_stay() -> None:
    found = load_object(contents("core_fields"), "core_fields.o").program("loads")
    assert found is not None and insn_text(found.insns, 2) == "(61) r0 = *(u32 *)(r1 +8)"


@pytest.mark.parametrize(
    ("name", "essential"),
    [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("___x", "___x"),
        ("x___", "x___"),
        ("x____y", "x____y"),
        ("a___b____c", "a"),
    ],
)
def test_a_flavour_is_what_follows_three_underscores(name: str, essential: str) -> None:
    assert essential_name(name) == essential


def test_an_instruction_that_does_not_fit_its_record_is_refused() -> None:
    changed = bytearray(contents("core_fields"))
    load_of_first = bytes.fromhex("6110080000000000")
    at = changed.index(load_of_first)
    changed[at + 2] = 4
    with pytest.raises(ObjectError, match="the instruction has 4, but the program's own types say 8"):
        load_object(bytes(changed), "core_fields.o", toyix_with_moved())


def toyix_with_moved() -> Kernel:
    types = loaded(KERNEL).btf
    assert types is not None
    return Kernel(types, toyix().address_of)
