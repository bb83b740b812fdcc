"""V1, V9, V10, V11: the graph, the paths, loops, and the program's own functions."""

from kprobesim.bpf import Insn
from kprobesim.bpf.verifier import verify
from tests.bpf.verifier.bench import LOOKUP, accepted, check, message, refused

EXIT = Insn(0x95)


def test_every_instruction_must_be_reachable() -> None:
    """V1."""
    refused("r0 = 0\nexit\nr0 = 1\nexit\n", "unreachable insn 2", 22)


def test_a_program_must_not_run_off_its_end() -> None:
    """V1."""
    refused("r0 = 0\n", "last insn is not an exit or jmp", 22)


def test_a_jump_must_land_in_the_program() -> None:
    """V1."""
    refused("goto pc+7\nexit\n", "jump out of range from insn 0 to 8", 22)


def test_a_jump_into_a_64_bit_load_is_refused() -> None:
    """V1."""
    text = "goto pc+1\nr0 = 0x1122334455667788 ll\nexit\n"
    refused(text, "unreachable insn 1", 22)
    text = "if r1 == 0 goto pc+1\nr0 = 0x1122334455667788 ll\nexit\n"
    refused(text, "jump into the middle of ldimm64 insn 1", 22)


def test_reserved_fields_and_opcodes_are_looked_at() -> None:
    """V1."""
    for insn, said in (
        (Insn(0xBF, 0, 1, 0, 5), "BPF_MOV uses reserved fields"),
        (Insn(0x07, 0, 3, 0, 5), "BPF_ALU uses reserved fields"),
        (Insn(0x87, 0, 1, 0, 0), "BPF_NEG uses reserved fields"),
        (Insn(0xD4, 0, 0, 0, 17), "BPF_END uses reserved fields"),
        (Insn(0x7B, 10, 1, -8, 1), "BPF_STX uses reserved fields"),
        (Insn(0x15, 1, 2, 0, 0), "BPF_JMP/JMP32 uses reserved fields"),
        (Insn(0x85, 1, 0, 0, 5), "BPF_CALL uses reserved fields"),
        (Insn(0x00, 0, 0, 0, 0), "unknown opcode 00"),
    ):
        assert message(verify([Insn(0xB7), insn, EXIT], "kprobe")) == said
    assert message(verify([Insn(0xB7), Insn(0xB7, 11), EXIT], "kprobe")) == "R11 is invalid"


def test_lengths_are_limited_in_silence() -> None:
    """V1: E2BIG without a word."""
    assert verify([], "kprobe").errno == 7
    assert verify([Insn(0xB7)] * 5000 + [EXIT], "socket_filter", unpriv=True).errno == 7


def test_both_edges_of_a_branch_are_walked() -> None:
    """V9: the fall-through first, then the other edge, with the state printed between."""
    log = accepted("r0 = *(u64 *)(r1 +0)\nif r0 == 5 goto pc+1\nr0 = 1\nexit\n").log
    assert "1: (15) if r0 == 0x5 goto pc+1        ; R0_w=scalar()\n" in log
    assert (
        "\nfrom 1 to 3: R0_w=5 R1=ctx(off=0,imm=0) R10=fp0\n3: R0_w=5 R1=ctx(off=0,imm=0) R10=fp0\n3: (95) exit\n"
        in log
    )


def test_a_decided_branch_is_not_split() -> None:
    """V9: what cannot be reached is not looked at."""
    verdict = accepted("r0 = 3\nif r0 == 3 goto out\nr0 = r9\nout:\nexit\n")
    assert verdict.stats.insn_processed == 3
    assert verdict.seen == bytes([1, 1, 0, 1])


DIAMONDS = "r6 = r1\nr0 = 0\n" + "".join(
    f"r1 = *(u64 *)(r6 +{8 * i})\nif r1 > {i} goto l{i}\nr0 = {i}\nl{i}:\n" for i in range(16)
)


def test_equal_states_end_a_path() -> None:
    """V9: 2**16 paths, but r0 is written on each of them before anything reads it."""
    verdict = accepted(f"{DIAMONDS}r0 = 0\nexit\n")
    assert verdict.stats.insn_processed < 200
    assert ": safe\n" in verdict.log


def test_a_value_that_is_read_later_keeps_paths_apart() -> None:
    """V9: liveness and precision: the bad value of r7 must be found although another path was safe."""
    text = """
        r6 = r1
        r7 = 0
        r2 = *(u64 *)(r6 +0)
        if r2 == 0 goto join
        r7 = 4096
    join:
        r3 = *(u64 *)(r6 +8)
        if r3 == 0 goto pc+0
        r8 = r10
        r8 += r7
        *(u64 *)(r8 -8) = 0
        r0 = 0
        exit
    """
    refused(text, "invalid write to stack R8 off=4088 size=8", test_state_freq=True)


def test_precision_is_traced_back_through_the_path() -> None:
    """V9: the log tells how."""
    log = check("r2 = 8\nr3 = r2\nr4 = r10\nr4 -= 512\nr4 += r3\nr0 = 0\nexit\n").log
    assert "last_idx 3 first_idx 0\n" not in log
    log = accepted("r2 = -8\nr3 = r2\nr4 = r10\nr4 += r3\nr0 = 0\nexit\n").log
    assert "3: (0f) r4 += r3\nlast_idx 3 first_idx 0\nregs=8 stack=0 before 2: (bf) r4 = r10\n" in log
    assert "regs=8 stack=0 before 1: (bf) r3 = r2\nregs=4 stack=0 before 0: (b7) r2 = -8\n" in log


def test_a_bounded_loop_is_walked_to_its_end() -> None:
    """V10."""
    verdict = accepted("r0 = 0\nl:\nr0 += 1\nif r0 < 50 goto l\nexit\n")
    assert verdict.stats.insn_processed == 1 + 2 * 50 + 1


def test_a_loop_without_progress_is_found() -> None:
    """V10."""
    text = "r0 = 0\nl:\nr1 = 1\nif r0 == 0 goto l\nexit\n"
    assert message(check(text)) in {f"infinite loop detected at insn {n}" for n in (1, 2)}


def test_a_loop_is_a_back_edge_to_unprivileged_users() -> None:
    """V10, V14."""
    text = ".type socket_filter\nr0 = 0\nl:\nr0 += 1\nif r0 < 50 goto l\nexit\n"
    refused(text, "back-edge from insn 2 to 1", 22, unpriv=True)


def test_the_number_of_processed_instructions_is_limited() -> None:
    """V9: a hostile program is given up."""
    text = "r0 = 0\nl:\nr0 += 1\nr1 = r0\nif r0 != 123456789 goto l\nexit\n"
    verdict = refused(text, "BPF program is too large. Processed 20001 insn", 7, stop_after=20_000, log_level=1)
    assert verdict.stats.insn_processed == 20_001


def test_the_sequence_of_waiting_jumps_is_limited() -> None:
    """V9."""
    jumps = [Insn(0xB7), Insn(0x79, 2, 1, 0)] + [Insn(0x1D, 0, 2, 0) for _ in range(9000)]
    verdict = verify([*jumps, EXIT], "kprobe", log_level=1)
    assert verdict.errno == 14
    assert verdict.rejected is not None
    assert verdict.rejected.message == "The sequence of 8193 jumps is too complex."


CALL = "r6 = r1\ncall sub\nr0 = r6\nr0 = 0\nexit\nsub:\n"


def test_a_call_shows_both_frames() -> None:
    """V11."""
    log = accepted(f"{CALL}r0 = 7\nexit\n").log
    assert log.startswith("func#0 @0\nfunc#1 @5\n")
    assert "caller:\n R6_w=ctx(off=0,imm=0) R10=fp0\ncallee:\n frame1: R1=ctx(off=0,imm=0) R10=fp0\n" in log
    assert "returning from callee:\n frame1: R0_w=7 R1=ctx(off=0,imm=0) R10=fp0\nto caller at 2:\n" in log


def test_a_call_loses_the_arguments() -> None:
    """V11."""
    refused("call sub\nr0 = r1\nexit\nsub:\nr0 = 0\nexit\n", "R1 !read_ok")
    refused("call sub\nexit\nsub:\nexit\n", "R0 !read_ok")


def test_a_callee_may_write_its_callers_stack_but_not_leave_its_own_address() -> None:
    """V11."""
    accepted("r1 = r10\nr1 += -8\ncall sub\nr0 = *(u64 *)(r10 -8)\nexit\nsub:\n*(u64 *)(r1 +0) = 3\nr0 = 0\nexit\n")
    text = "r1 = r10\nr1 += -8\ncall sub\nr0 = 0\nexit\nsub:\n*(u64 *)(r1 +0) = r10\nr0 = 0\nexit\n"
    refused(text, "cannot spill pointers to stack into stack frame of the caller", 22)
    refused("call sub\nexit\nsub:\nr0 = r10\nexit\n", "cannot return stack pointer to the caller", 22)


def test_stacks_of_nested_calls_add_up() -> None:
    """V11."""
    text = "*(u64 *)(r10 -300) = 0\ncall sub\nexit\nsub:\n*(u64 *)(r10 -300) = 0\nr0 = 0\nexit\n"
    text = text.replace("-300", "-304")
    refused(text, "combined stack size of 2 calls is 640. Too large", 13)


def test_calls_nest_eight_deep() -> None:
    """V11."""
    text = "call f1\nexit\n" + "".join(f"f{i}:\ncall f{i + 1}\nexit\n" for i in range(1, 8)) + "f8:\nr0 = 0\nexit\n"
    refused(text, "the call stack of 9 frames is too deep", 7)


def test_recursion_is_a_loop_in_the_graph() -> None:
    """V11."""
    refused("call sub\nexit\nsub:\ncall sub\nexit\n", "back-edge from insn 2 to 2", 22)


def test_null_checks_work_across_a_call() -> None:
    """V6, V11: the caller's copy of the pointer learns nothing, the callee's does."""
    text = (
        f"{LOOKUP}r1 = r0\ncall sub\nr0 = 0\nexit\nsub:\nif r1 == 0 goto out\n*(u64 *)(r1 +8) = 1\nout:\nr0 = 0\nexit\n"
    )
    accepted(text)
