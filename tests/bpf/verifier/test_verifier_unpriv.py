"""V14: what users without capabilities may not do."""

from kprobesim.bpf.verifier import Verdict
from tests.bpf.verifier.bench import LOOKUP, accepted, check, refused

TYPE = ".type socket_filter\n"
END = "r0 = 0\nexit\n"
VALUE = f"{TYPE}{LOOKUP}if r0 == 0 goto out\n"


def no(text: str, said: str, errno: int = 13) -> Verdict:
    accepted(TYPE + text)
    return refused(TYPE + text, said, errno, unpriv=True)


def test_most_program_types_are_out_of_reach() -> None:
    assert check(END, unpriv=True).errno == 1
    assert check(TYPE + END, unpriv=True).errno == 0


def test_addresses_must_not_leak() -> None:
    no("r0 = r1\nexit\n", "R0 leaks addr as return value")
    no(f"r2 = r10\nif r1 == r2 goto pc+0\n{END}", "R2 pointer comparison prohibited")
    no(f"if r1 == 5 goto pc+0\n{END}", "R1 pointer comparison prohibited")
    no(f"w2 = w1\n{END}", "R1 partial copy of pointer")
    no(f"r1 = -r1\n{END}", "R1 pointer arithmetic prohibited")
    no(f"r1 -= r10\n{END}", "R1 pointer -= pointer prohibited")
    no(f"*(u64 *)(r10 -8) = r1\n*(u32 *)(r10 -8) = 0\n{END}", "attempt to corrupt spilled pointer on stack")
    no(f"{LOOKUP}if r0 == 0 goto out\n*(u64 *)(r0 +0) = r10\nout:\n{END}", "R10 leaks addr into map")


def test_functions_of_the_programs_own_are_out_of_reach() -> None:
    said = "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN"
    no(f"call sub\nexit\nsub:\n{END}", said, 1)


def test_map_heads_are_out_of_reach() -> None:
    said = "bpf_array access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN"
    no(f"r1 = map table\nr0 = *(u32 *)(r1 +24)\n{END}", said, 1)


def test_addresses_in_instructions_are_hidden() -> None:
    assert "r1 = 0x0 " in check(VALUE + "out:\n" + END, unpriv=True).log


def test_pointers_stay_inside_their_object() -> None:
    text = f"{VALUE}r0 += 16\nout:\n{END}"
    accepted(text)
    said = "R0 pointer arithmetic of map value goes out of range, prohibited for !root"
    refused(text, said, unpriv=True)
    said = "R1 stack pointer arithmetic goes out of range, prohibited for !root; off=8"
    no(f"r1 = r10\nr1 += 8\n{END}", said)


def test_offsets_have_one_sign() -> None:
    text = f"{VALUE}r1 = *(u64 *)(r0 +0)\nif r1 s> 8 goto out\nif r1 s< -8 goto out\nr0 += r1\nout:\n{END}"
    said = "R1 has unknown scalar with mixed signed bounds, pointer arithmetic with it prohibited for !root"
    refused(text, said, unpriv=True)


def test_mispredicted_paths_are_walked_too() -> None:
    text = f"{VALUE}r1 = *(u64 *)(r0 +0)\nr1 &= 7\nr0 += r1\nr2 = *(u8 *)(r0 +0)\nout:\n{END}"
    log = check(text, unpriv=True).log
    assert "(speculative execution):" in log
    assert "(speculative execution)" not in accepted(text).log
