"""Programs as assembly text, and what comes of running them; stepped and fast runs agree."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kprobesim.bpf import (
    BenchEnvironment,
    BpfFault,
    BudgetExceeded,
    Execution,
    FlatMemory,
    Insn,
    Level,
    MapSpec,
    Program,
    RunError,
    assemble,
    run,
)
from kprobesim.bpf.memory import GuestMemory
from kprobesim.bpf.semantics import CLOBBERED
from tests.bpf.generators import called_programs, programs
from tests.bpf.rig import BASE, CTX, SIZE, TOP, CalledMemory, build_rig

M = (1 << 64) - 1

RESULTS = [
    # text, R0; captured from Linux 6.1 where it can run them
    ("r0 = -1; r1 = r0; r1 >>= 32; r0 = r1", 0xFFFFFFFF),
    ("w0 = -1; r0 >>= 32", 0),
    ("r0 = -1; w0 = w0", 0xFFFFFFFF),
    ("r0 = 7; r1 = 0; r0 /= r1", 0),
    ("r0 = 7; r1 = 0; r0 %= r1", 7),
    ("r0 = -1; r1 = 0; w0 %= w1", 0xFFFFFFFF),
    ("w0 = 7; w1 = 0; w0 /= w1", 0),
    ("r0 = -7; r0 /= 2", 0x7FFFFFFFFFFFFFFC),
    ("r0 = -7; r0 /= -2", 0),
    ("r0 = 3; r1 = 65; r0 <<= r1", 6),
    ("w0 = 3; w1 = 33; w0 <<= w1", 6),
    ("r0 = -8; r0 s>>= 1", M - 3),
    ("r0 = -8; w0 s>>= 1", 0xFFFFFFFC),
    ("r0 = 5; r0 = -r0", M - 4),
    ("r0 = 5; w0 = -w0", 0xFFFFFFFB),
    ("r0 = 0x1234; r0 = be16 r0", 0x3412),
    ("r0 = 0x11223344; r0 = be64 r0; r0 >>= 32", 0x44332211),
    ("r0 = 0x1122334455667788; r0 = le16 r0", 0x7788),
    ("r0 = 0x1122334455667788; r0 = le32 r0", 0x55667788),
    ("r0 = 0; w1 = -1; if w1 s< 0 goto +1; exit; r0 = 1", 1),
    ("r0 = 0; w1 = -1; if r1 s< 0 goto +1; exit; r0 = 1", 0),
    ("r0 = 0; r1 = 6; if r1 & 4 goto +1; exit; r0 = 1", 1),
    ("r0 = 0; r1 = -1; if r1 > 0xfffffffe goto +1; exit; r0 = 1", 1),
    ("*(u32 *)(r10 -4) = 0x11223344; r0 = *(u8 *)(r10 -4)", 0x44),
    ("*(u64 *)(r10 -8) = -1; *(u16 *)(r10 -8) = 0; r0 = *(u64 *)(r10 -8)", M - 0xFFFF),
    ("*(u64 *)(r10 -8) = 5; r1 = 3; r1 = atomic64_fetch_add((u64 *)(r10 -8), r1); r0 = *(u64 *)(r10 -8)", 8),
    ("*(u64 *)(r10 -8) = 5; r0 = 5; r1 = 9; r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1)", 5),
    ("*(u64 *)(r10 -8) = 5; r0 = 6; r1 = 9; r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1); r0 *= 100", 500),
    ("*(u32 *)(r10 -8) = -1; r0 = -1; r1 = 9; r0 = atomic_cmpxchg((u32 *)(r10 -8), r0, r1)", 0xFFFFFFFF),
    ("*(u64 *)(r10 -8) = -1; r1 = -1; lock *(u32 *)(r10 -8) ^= r1; r0 = *(u64 *)(r10 -8)", M << 32 & M),
    ("r6 = 6; r1 = 1; call f; r0 += r6; exit; f: r6 = 100; r0 = r1", 7),
    ("r1 = r10; call f; exit; f: r1 -= r10; r0 = r1", 512),
    ("r0 = 0x1122334455667788; r0 >>= 32", 0x11223344),
]
V4_RESULTS = [
    ("r0 = -7; r0 s/= 2", M - 2),
    ("r0 = -7; r0 s%= 2", M),
    ("r0 = 7; r0 s%= -2", 1),
    ("w0 = -7; w0 s/= 2", 0xFFFFFFFD),
    ("r0 = 0x8000000000000000 ll; r0 s/= -1", 1 << 63),
    ("r0 = 0x8000000000000000 ll; r0 s%= -1", 0),
    ("r0 = -7; r1 = 0; r0 s/= r1", 0),
    ("r0 = -7; r1 = 0; r0 s%= r1", M - 6),
    ("r1 = 0x80; r0 = (s8)r1", M - 127),
    ("r1 = 0x80; w0 = (s8)w1", 0xFFFFFF80),
    ("r1 = 0x80000000; r0 = (s32)r1", M << 31 & M),
    ("r0 = 0x1122334455667788; r0 = bswap32 r0", 0x88776655),
    ("*(u64 *)(r10 -8) = 0x80; r0 = *(s8 *)(r10 -8)", M - 127),
    ("r0 = 1; gotol +1; r0 = 2", 1),
]


def lines(text: str) -> str:
    return text.replace("; ", "\n") + "\nexit"


@pytest.mark.parametrize(("text", "expected"), RESULTS)
@pytest.mark.parametrize("window", [True, False])
def test_programs_compute_what_linux_computes(text: str, expected: int, window: bool) -> None:
    """Reference section 1, points 1 to 4, 6 to 8; 11_bpf_isa of the captures."""
    rig = build_rig(lines(text), window=window)
    assert rig.run() == expected
    assert rig.bound.start(CTX, TOP).run() == expected


@pytest.mark.parametrize(("text", "expected"), V4_RESULTS)
def test_v4_programs_compute_what_the_rfc_says(text: str, expected: int) -> None:
    """RFC 9669 sections 4.1 to 4.3; reference section 1, points 2, 4, 5 and 6."""
    rig = build_rig(lines(text), level=Level.V4)
    assert rig.run() == rig.bound.start(CTX, TOP).run() == expected


def test_a_call_takes_r1_to_r5_away() -> None:
    rig = build_rig("r1 = 1\nr5 = 5\ncall ktime_get_ns\nr0 = r1\nr0 ^= r5\nr0 += r1\nexit")
    assert rig.run() == CLOBBERED


def test_the_context_and_its_size_come_in_r1_and_r2() -> None:
    rig = build_rig("r0 = *(u64 *)(r1 +96)\nr0 += r2\nexit")
    rig.memory.write(CTX + 96, (40).to_bytes(8, "little"))
    assert rig.bound.run(CTX, TOP, r2=2) == 42


def test_a_loop_without_end_ends() -> None:
    for rig in (build_rig("loop: goto loop\nexit", budget=1000), build_rig("call f\nexit\nf: call f\nexit")):
        with pytest.raises(RunError):
            rig.run()
        with pytest.raises(RunError):
            rig.bound.start(CTX, TOP).run()


def test_the_budget_counts_instructions_exactly() -> None:
    text = "r1 = 10\nloop: r1 -= 1\nif r1 != 0 goto loop\nr0 = 7\nexit"  # 23 of them
    assert build_rig(text, budget=23).bound.run_counted(CTX, TOP) == (7, 23)
    for budget in (22, 3):
        rig = build_rig(text, budget=budget)
        with pytest.raises(BudgetExceeded):
            rig.run()
        with pytest.raises(BudgetExceeded):
            rig.bound.start(CTX, TOP).run()


def test_calls_that_multiply_stay_within_the_budget() -> None:
    """Seven levels of functions that each call the next 30 times: no jump back, but 30**7 calls."""
    levels = []
    for level in range(7):
        calls = "".join(f"call f{level + 1}\n" for _ in range(30)) if level < 6 else ""
        levels.append(f"f{level}: r0 = 0\n{calls}exit\n")
    rig = build_rig("call f0\nexit\n" + "".join(levels), budget=50_000)
    with pytest.raises(BudgetExceeded):
        rig.run()


def test_functions_nest_eight_deep_and_no_deeper() -> None:
    """Reference section 1, point 8."""

    def nested(depth: int) -> str:
        calls = "".join(f"f{n}: call f{n + 1}\nexit\n" for n in range(1, depth))
        return f"{calls}f{depth}: r0 = 1\nexit"

    assert build_rig(nested(8)).run() == 1
    rig = build_rig(nested(9))
    for go in (rig.run, rig.bound.start(CTX, TOP).run):
        with pytest.raises(RunError, match="8 deep"):
            go()


@pytest.mark.parametrize("window", [True, False])
def test_a_fault_names_instruction_address_and_size(window: bool) -> None:
    rig = build_rig("r0 = 0\nr1 = 16\n*(u32 *)(r1 -8) = 1\nexit", window=window)
    for go in (rig.run, rig.bound.start(CTX, TOP).run):
        with pytest.raises(BpfFault) as fault:
            go()
        assert (fault.value.insn, fault.value.addr, fault.value.size, fault.value.write) == (2, 8, 4, True)


def test_a_fault_in_a_helper_names_its_call() -> None:
    rig = build_rig(".map m hash key=4 value=8 max_entries=1\nr1 = map m\nr2 = 0\ncall map_lookup_elem\nr0 = 0\nexit")
    with pytest.raises(BpfFault) as fault:
        rig.run()
    assert fault.value.insn == 3


def test_the_end_of_memory_is_its_end() -> None:
    last = BASE + SIZE - 8
    assert build_rig(f"r1 = {last:#x} ll\nr0 = *(u64 *)(r1 +0)\nexit").run() == 0
    with pytest.raises(BpfFault):
        build_rig(f"r1 = {last + 1:#x} ll\nr0 = *(u64 *)(r1 +0)\nexit").run()


def test_a_stack_outside_the_window_still_works() -> None:
    rig = build_rig("*(u64 *)(r10 -8) = 5\nr0 = *(u64 *)(r10 -8)\nexit")
    with pytest.raises(BpfFault):
        rig.bound.run(CTX, 0x1000)


def test_stepping_shows_registers_place_and_depth() -> None:
    seen: list[tuple[int, int, int]] = []

    def look(execution: Execution) -> None:
        seen.append((execution.pc, execution.depth, execution.regs[0]))

    rig = build_rig("r0 = 1\ncall f\nexit\nf: r0 += 1\nexit")
    execution = rig.bound.start(CTX, TOP, hook=look)
    assert execution.run() == 2
    assert seen == [(0, 0, 0), (1, 0, 1), (3, 1, 1), (4, 1, 2), (2, 0, 2)]
    assert execution.finished and execution.executed == 5
    with pytest.raises(RunError, match="has ended"):
        execution.step()


def test_an_execution_can_go_back() -> None:
    execution = build_rig("r0 = 1\ncall f\nexit\nf: r0 += 1\nexit").bound.start(CTX, TOP)
    states = []
    while not execution.finished:
        states.append(execution.save())
        execution.step()
    for state in reversed(states):
        execution.restore(state)
        assert execution.save() == state
        copy = execution.save()
        assert execution.run() == 2
        execution.restore(copy)


def test_one_line_runs_a_program() -> None:
    memory = FlatMemory(0x1000, 0x1000)
    program = Program("x", "kprobe", assemble("r0 = 42\nexit").insns)
    assert run(program, 0x1000, BenchEnvironment(), memory, 0x2000) == 42


def _outcome(program: Program, how: str) -> tuple[object, ...]:
    memory = FlatMemory(BASE, 0x4000)
    memory.write(BASE, bytes(n * 37 & 0xFF for n in range(0x4000)))
    where: GuestMemory = memory if how != "called" else CalledMemory(memory)
    env = BenchEnvironment()
    bound = program.bind(where, env, 400)
    try:
        if how == "stepped":
            execution = bound.start(CTX, TOP, r2=BASE + 0x1000)
            result: object = (execution.run(), execution.executed)
        else:
            result = bound.run_counted(CTX, TOP, BASE + 0x1000)
    except BudgetExceeded:
        return ("budget",)  # how far each got before it noticed may differ
    except BpfFault as fault:
        result = (fault.insn, fault.addr, fault.size, fault.write)
    except RunError as deep:
        result = deep.insn
    return result, memory.save(), env.save()


@given(st.one_of(programs(), called_programs()))
@settings(max_examples=200, deadline=None)
@example((Insn(0xB7, 0, 0, 0, 5), Insn(0x17, 0, 0, 0, 1), Insn(0x55, 0, 0, -2, 0), Insn(0x95)))
def test_all_ways_of_running_agree(insns: tuple[Insn, ...]) -> None:
    """Stepped, fast with a window and fast without: result, count, memory, faults."""
    program = Program("random", "kprobe", insns, level=Level.V4)
    stepped = _outcome(program, "stepped")
    assert _outcome(program, "fast") == stepped
    assert _outcome(program, "called") == stepped


def test_a_map_spec_is_hashable() -> None:
    assert len({MapSpec("hash", 4, 8, 1), MapSpec("hash", 4, 8, 1)}) == 1
