"""Machine code on the emulated CPU: helpers, maps, faults, budgets, tail calls."""

import pytest

from kprobesim.bpf import BenchEnvironment, BpfFault, BudgetExceeded, FlatMemory, Insn, Level, Program, RunError
from kprobesim.bpf.isa import lddw
from kprobesim.bpf.jit import JitError
from kprobesim.bpf.jit import bench as bench_module
from kprobesim.bpf.jit.bench import CODE_BASE, Bench, JitedProgram, helper_stub
from kprobesim.bpf.semantics import CLOBBERED
from kprobesim.machine.calibration import calibrate
from tests.bpf.jit.jit_rig import BASE, CTX, SIZE, TOP, build_jit_rig

COUNT = """
.map counts hash key=4 value=8 max_entries=4
r6 = *(u64 *)(r1 +96)
*(u32 *)(r10 -4) = 7
*(u64 *)(r10 -16) = 1
r1 = map counts
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto new
r1 = 1
lock *(u64 *)(r0 +0) += r1
r0 = r6
exit
new: r1 = map counts
r2 = r10
r2 += -4
r3 = r10
r3 += -16
r4 = 0
call map_update_elem
r0 = 0
exit
"""


def test_a_program_counts_in_a_map() -> None:
    rig = build_jit_rig(COUNT)
    rig.memory.write(CTX + 96, (42).to_bytes(8, "little"))
    assert [rig.run() for _ in range(3)] == [0, 42, 42]
    counts = rig.maps["counts"]
    place = counts.lookup_elem((7).to_bytes(4, "little"))
    assert int.from_bytes(rig.memory.read(place, 8), "little") == 3


def test_helpers_print_and_take_registers_away() -> None:
    rig = build_jit_rig(
        "*(u64 *)(r10 -8) = 0x0a6968; r1 = r10; r1 += -8; r2 = 4; r6 = 5; call trace_printk; r0 = r6; r0 += r1; exit"
    )
    assert rig.run() == 5 + CLOBBERED & (1 << 64) - 1
    assert rig.env.printed == ["hi\n"]


def test_r10_is_the_top_of_the_stack_that_was_asked_for() -> None:
    assert build_jit_rig("r0 = r10; exit").run() == TOP


def test_a_fault_names_instruction_address_and_size() -> None:
    rig = build_jit_rig("r1 = 7; r2 = r1; r2 %= r1; *(u32 *)(r1 +9) = 1; exit")
    with pytest.raises(BpfFault) as fault:
        rig.run()
    assert (fault.value.insn, fault.value.addr, fault.value.size, fault.value.write) == (3, 16, 4, True)
    with pytest.raises(BpfFault) as fault:
        build_jit_rig("r0 = 0; r1 = -8; call f; exit; f: r0 = *(u64 *)(r1 +0); exit").run()
    assert (fault.value.insn, fault.value.addr, fault.value.write) == (4, (1 << 64) - 8, False)


def test_a_fault_in_a_helper_names_its_call() -> None:
    rig = build_jit_rig(".map m hash key=4 value=8 max_entries=1; r1 = map m; r2 = 0; call map_lookup_elem; exit")
    with pytest.raises(BpfFault) as fault:
        rig.run()
    assert fault.value.insn == 3


def test_loops_without_end_end() -> None:
    for text in (
        "loop: goto loop; exit",
        "loop: r0 += 1; if r0 != 0 goto loop; exit",
        "loop: call ktime_get_ns; goto loop; exit",
    ):
        with pytest.raises(BudgetExceeded):
            build_jit_rig(text).run()


def test_the_budget_is_one_for_the_whole_run() -> None:
    """A helper's call stops the CPU; what was executed before counts all the same."""
    rig = build_jit_rig("r6 = 300; loop: call ktime_get_ns; r6 -= 1; if r6 != 0 goto loop; r0 = 9; exit", budget=1500)
    with pytest.raises(BudgetExceeded):
        rig.run()
    rig.jited.budget = 4000
    assert rig.run() == 9


def test_functions_that_call_themselves_run_out_of_stack() -> None:
    with pytest.raises(BpfFault):
        build_jit_rig("call f; exit; f: call f; exit", budget=10_000_000).run()


def test_a_jump_to_nowhere_is_an_error_and_not_a_crash() -> None:
    rig = build_jit_rig("*(u64 *)(r10 +8) = 0x1234; exit")
    with pytest.raises(RunError):
        rig.run()
    rig = build_jit_rig("r1 = 0; call 1; exit")
    with pytest.raises(RunError):
        rig.run()


def test_old_translations_are_not_run_again() -> None:
    bench = Bench(FlatMemory(BASE, SIZE))
    for number in range(5):
        bench.clear()
        program = Program("p", "kprobe", (Insn(0xB7, 0, imm=number), Insn(0x95)))
        assert JitedProgram(program, bench, BenchEnvironment()).run(CTX, TOP) == number


def test_several_programs_share_the_memory() -> None:
    bench = Bench(FlatMemory(BASE, SIZE))
    programs = [
        JitedProgram(Program("p", "kprobe", (Insn(0xB7, 0, imm=n), Insn(0x95))), bench, BenchEnvironment())
        for n in range(1, 4)
    ]
    assert len({program.code.entry for program in programs}) == 3
    assert [program.run(CTX, TOP) for program in programs] == [1, 2, 3]
    with pytest.raises(JitError, match="the code was made for"):
        bench.load(programs[0].code)


def test_long_programs_get_more_memory() -> None:
    many = tuple(insn for _ in range(120_000) for insn in lddw(1, 1 << 40))
    program = Program("long", "kprobe", (*many, Insn(0xB7, 0, imm=3), Insn(0x95)))
    jited = JitedProgram(program, Bench(FlatMemory(BASE, SIZE)), BenchEnvironment())
    assert len(jited.code.memory()) > 1 << 20
    assert jited.run(CTX, TOP) == 3


def test_a_load_that_may_fault_gives_0() -> None:
    """PROBE_MEM: user addresses are refused, kernel addresses without memory go through the exception table."""
    insns = (Insn(0xB7, 0, imm=-1), Insn(0x39, 0, 1, 8), Insn(0x95))
    program = Program("probe", "kprobe", (Insn(0xB7), Insn(0x95)))
    program.resolved = insns
    memory = FlatMemory(BASE, SIZE)
    memory.write(CTX + 8, b"\x2a")
    jited = JitedProgram(program, Bench(memory), BenchEnvironment())
    assert jited.run(CTX, TOP) == 42
    assert jited.run(0x1000, TOP) == 0
    assert jited.run((1 << 64) - 4, TOP) == 0
    assert jited.run(BASE - (1 << 32), TOP) == 0


def test_tail_calls_up_to_33() -> None:
    """A program that calls itself: 33 times, then the call falls through; an index out of range does so at once."""
    array, prog = BASE + 0xC000, BASE + 0xD000
    memory = FlatMemory(BASE, SIZE)
    bench = Bench(memory)
    insns = (
        *(Insn(0x79, 6, 1, 0), Insn(0x07, 6, imm=1), Insn(0x7B, 1, 6, 0)),  # count in the context
        *(*lddw(2, array), Insn(0x61, 3, 1, 8), Insn(0x85, imm=12)),
        *(Insn(0xB7, 0, imm=1), Insn(0x95)),
    )
    program = Program("tail", "kprobe", (Insn(0xB7), Insn(0x95)), level=Level.V3)
    program.resolved = insns
    jited = JitedProgram(program, bench, BenchEnvironment())
    memory.write(array + 36, (2).to_bytes(4, "little"))
    memory.write(array + 272, prog.to_bytes(8, "little"))
    memory.write(prog + 48, jited.code.entry.to_bytes(8, "little"))

    def count(index: int) -> int:
        memory.write(CTX, bytes(8) + index.to_bytes(4, "little"))
        assert jited.run(CTX, TOP) == 1
        return int.from_bytes(memory.read(CTX, 8), "little")

    assert count(0) == 34
    assert count(1) == 1  # an empty entry
    assert count(2) == 1  # no entry


def test_code_cannot_be_written_nor_data_run() -> None:
    for address in (CODE_BASE + 8, helper_stub(5)):
        with pytest.raises(BpfFault) as fault:
            build_jit_rig(f"r1 = {address:#x} ll; *(u8 *)(r1 +0) = 0xcc; exit").run()
        assert (fault.value.insn, fault.value.addr, fault.value.write) == (2, address, True)
    with pytest.raises(RunError):
        build_jit_rig(f"r1 = {CTX:#x} ll; *(u64 *)(r10 +8) = r1; exit").run()


def test_a_build_of_the_emulator_without_its_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instructions are then counted by a hook, with the same budgets."""
    monkeypatch.setattr(bench_module, "calibrate", lambda: calibrate()._replace(counter=None))
    text = "r6 = 300; loop: call ktime_get_ns; r6 -= 1; if r6 != 0 goto loop; r0 = 9; exit"
    assert build_jit_rig(text, budget=4000).run() == 9
    with pytest.raises(BudgetExceeded):
        build_jit_rig(text, budget=1500).run()


def test_every_helper_has_a_stub() -> None:
    assert len({helper_stub(number) for number in range(1, 212)}) == 211
    with pytest.raises(JitError):
        helper_stub(0)
    with pytest.raises(JitError):
        helper_stub(4000)
    with pytest.raises(JitError, match="whole pages"):
        Bench(FlatMemory(BASE, 100))
