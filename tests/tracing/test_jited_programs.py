"""Programs that were compiled to x86-64 code: the guest runs them, on its own stack, to the same effect."""

import pytest

from kprobesim.bpf import HELPERS
from kprobesim.lab import Grain, Lab, Moment
from tests.lab.experiment import COMMAND, by_pid, only, rested

RESULT = "r0 = *(u64 *)(r1 +80)\nexit"
TWO_FUNCTIONS = """
.license GPL
r6 = r1
call double
r6 = r0
call bpf_get_current_pid_tgid
r0 = r6
exit
double:
r0 = *(u64 *)(r1 +80)
r0 += r0
exit
"""


def lived(jit: int, cpus: int = 1, seed: int = 0) -> Lab:
    """The counting program, a return probe and a second program at the same place, while a pipeline runs."""
    lab = rested(cpus, seed)
    lab.set_bpf_jit(jit)
    lab.load_program(by_pid(), "by_pid")
    lab.load_program(RESULT, "result")
    lab.load_program(TWO_FUNCTIONS, "double")
    lab.attach("by_pid", "vfs_read")
    lab.attach("result", "vfs_write", returns=True)
    lab.attach("double", "vfs_read", returns=True)
    lab.attach("result", "vfs_read")
    lab.type(COMMAND)
    lab.run()
    return lab


def told(lab: Lab) -> list[tuple[str, str, object]]:
    """What the programs did, without addresses of stacks."""
    kinds = ("bpf.exit", "map.update", "map.delete", "bpf.skip")
    return [
        (
            event.kind,
            str(event.fields.get("prog", event.fields.get("map"))),
            event.fields.get("r0", event.fields.get("new")),
        )
        for event in lab.events()
        if event.kind in kinds
    ]


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_machine_code_and_interpreter_do_the_same(cpus: int) -> None:
    interpreted, jited = lived(0, cpus), lived(1, cpus)
    assert jited.console == interpreted.console
    if cpus == 1:
        assert told(jited) == told(interpreted)
    counts = [dict(lab.bpf.maps["counts"].items()) for lab in (interpreted, jited)]
    assert sum(int.from_bytes(value, "little") for value in counts[0].values()) == 5
    assert len(counts[1]) == len(counts[0])
    assert all("jited" in event.fields for event in only(jited, "bpf.enter"))
    assert not any("jited" in event.fields for event in only(interpreted, "bpf.enter"))


def test_the_code_lies_in_the_guest_and_has_a_name_in_kallsyms() -> None:
    lab = lived(1)
    code = lab.bpf.jited("double")
    assert code is not None
    tag = lab.bpf.programs["double"].tag
    names = [symbol.name for symbol in lab.kernel.kallsyms if symbol.module == "bpf"]
    assert f"bpf_prog_{tag}_double" in names
    assert f"bpf_prog_{tag}_F" in names
    for image in code.code.images:
        assert lab.read(image.address, len(image.code)) == image.code
    jit = only(lab, "bpf.jit")[-1]
    assert (jit.fields["addr"], jit.fields["size"]) == (code.code.entry, code.code.jited_len)


def test_the_cpu_walks_through_the_code_and_back() -> None:
    """Registers, and the instruction of the program that each address belongs to, are the same from both sides."""
    lab = lived(1)
    lab.seek(only(lab, "bpf.enter")[3])
    code = lab.bpf.jited(lab.last_event.fields["prog"]) if lab.last_event else None
    assert code is not None
    forwards: list[tuple[Moment, dict[str, int]]] = []
    slots: list[int] = []
    while lab.bpf.running is not None:
        lab.step(Grain.INSTRUCTION)
        registers = lab.machine.registers()
        forwards.append((lab.moment, registers))
        slot = code.slot_at(registers["rip"])
        if slot is not None and slot not in slots:
            slots.append(slot)
    assert slots == sorted(slots) and len(slots) >= 2
    for moment, registers in reversed(forwards):
        lab.seek(moment)
        assert lab.machine.registers() == registers


def test_a_life_with_machine_code_is_the_same_after_every_journey() -> None:
    lab = lived(1, cpus=2)
    events, registers = list(lab.machine.log), lab.machine.registers()
    inside = only(lab, "bpf.helper")
    for event in inside[:: len(inside) // 5]:
        lab.seek(event)
        assert lab.bpf.running is not None
        lab.seek(Moment(event.moment.insn + 3))
    lab.timeline.seek_end()
    assert list(lab.machine.log) == events
    assert lab.machine.registers() == registers
    assert lab.bpf.running is None


def test_what_was_not_verified_never_becomes_machine_code() -> None:
    lab = rested()
    lab.set_bpf_jit(1)
    lab.load_program("again: r0 = 0\ngoto again\nexit", "loop", verified=False)
    assert lab.bpf.jited("loop") is None
    lab.attach("loop", "vfs_write")
    lab.type("echo still here")
    lab.run()
    assert lab.console.endswith("still here\n")
    assert only(lab, "bpf.fault")


def test_a_new_program_goes_to_the_next_free_chunk() -> None:
    lab = rested()
    lab.set_bpf_jit(1)
    for number in range(3):
        lab.load_program(f"r0 = {number}\nexit", f"p{number}")
    entries = [code.code.entry for number in range(3) if (code := lab.bpf.jited(f"p{number}"))]
    assert [entry - entries[0] for entry in entries] == [0, 64, 128]
    large = "\n".join(["r0 = 0x1122334455667788 ll"] * 1000 + ["exit"])
    lab.load_program(large, "large")
    jited = lab.bpf.jited("large")
    assert jited is not None
    assert lab.read(jited.code.entry, jited.code.jited_len) == jited.code.images[0].code


def test_a_bpf_step_in_machine_code_goes_from_instruction_to_instruction_and_back() -> None:
    """Registers of the program are those of the CPU: what the interpreter has at the same slot."""
    jited, interpreted = lived(1), lived(0)
    seen = []
    for lab in (jited, interpreted):
        lab.seek(only(lab, "bpf.enter")[0])
        walked: list[tuple[Moment, int, tuple[int, ...]]] = []
        end = only(lab, "bpf.exit")[0].moment
        while lab.moment < end and (view := lab.bpf_view()) is not None:
            if not walked or walked[-1][1] != view.pc:
                walked.append((lab.moment, view.pc, view.registers[6:10]))
            lab.step(Grain.BPF)
        seen.append(walked)
        for moment, pc, _ in reversed(walked[1:-1]):
            lab.step(Grain.BPF, back=True)
            while lab.moment > moment:
                lab.step(Grain.BPF, back=True)
            back = lab.bpf_view()
            assert back is not None
            assert (lab.moment, back.pc) == (moment, pc)
    assert [pc for _, pc, _ in seen[0]] == [pc for _, pc, _ in seen[1]]


def test_a_journey_out_of_a_program_leaves_nothing_of_it_behind() -> None:
    """What a host function would put back when it ends belongs to the time that was left."""
    lab = lived(1)
    # At a function's return, where Linux would keep the task from being preempted; at an int3 nobody is anyway.
    enter = next(event for event in only(lab, "bpf.enter") if event.fields["prog"] == "double")
    place = lab.kernel.percpu_physical("__preempt_count", 0)
    lab.seek(enter.moment.insn + 6)
    assert lab.bpf.running is not None
    count = int.from_bytes(lab.machine.ram.read(place, 4), "little")
    assert count & 0xFF
    for _ in range(3):
        lab.seek(only(lab, "bpf.enter")[0].moment.insn - 40)
        assert int.from_bytes(lab.machine.ram.read(place, 4), "little") & 0xFF == 0
        lab.seek(enter.moment.insn + 6)
        assert int.from_bytes(lab.machine.ram.read(place, 4), "little") == count


COUNT = """
.license GPL
.map hits array key=4 value=12 max_entries=3
*(u32 *)(r10 -4) = {index}
r2 = r10
r2 += -4
r1 = map[hits]
call map_lookup_elem
if r0 == 0 goto out
r1 = 1
lock *(u32 *)(r0 +8) += r1
out:
r0 = 0
exit
"""


@pytest.mark.parametrize(("index", "counted"), [(0, True), (2, True), (3, False)])
def test_a_look_up_in_an_array_is_no_call_in_machine_code(index: int, counted: bool) -> None:
    """array_map_gen_lookup: elements of 16 bytes, null past the end; the change is told all the same."""
    lab = rested()
    lab.set_bpf_jit(1)
    lab.load_program(COUNT.format(index=index), "count")
    lab.attach("count", "vfs_read")
    lab.type("cat /etc/motd")
    lab.run()
    runs, updates = only(lab, "bpf.exit"), only(lab, "map.update")
    assert runs and not only(lab, "bpf.helper")
    assert len(updates) == (len(runs) if counted else 0)
    value = lab.bpf.maps["hits"].read_value(min(index, 2).to_bytes(4, "little"))
    assert value is not None
    assert int.from_bytes(value[8:], "little") == (len(runs) if counted else 0)
    if counted:
        assert {event.fields["key"] for event in updates} == {index.to_bytes(4, "little")}
        assert updates[-1].fields["new"] == value


def test_a_probe_in_what_a_program_calls_is_missed() -> None:
    """BPF-06: the outer probe is being handled, so kprobe_running() stops the inner one before any program is asked."""
    lab = rested()
    lab.set_bpf_jit(1)
    lab.load_program("call bpf_get_current_pid_tgid\nr0 = 0\nexit", "caller")
    lab.attach("caller", "vfs_read")
    inner = lab.kprobe("bpf_get_current_pid_tgid", pre_handler=lambda *_: 0)
    lab.type("cat /etc/motd")
    lab.run()
    runs = only(lab, "bpf.exit")
    assert runs and inner.nmissed == len(runs)
    assert not [event for event in only(lab, "kprobe.hit") if event.fields["symbol"] == "bpf_get_current_pid_tgid"]
    assert lab.console.endswith("backwards.\n")


def test_every_helper_is_a_function_that_machine_code_can_call() -> None:
    """Of a tail call the machine code is the program's own."""
    lab = rested()
    missing = [helper.name for helper in HELPERS.values() if not lab.kernel.kallsyms.lookup_name(f"bpf_{helper.name}")]
    assert missing == ["tail_call"]


DRAIN = """
.license GPL
.map orders user_ringbuf max_entries=4096
r1 = map orders
r2 = func order
r3 = 0
r4 = 0
call bpf_user_ringbuf_drain
exit
order:
r0 = 0
exit
"""


@pytest.mark.parametrize("jit", [0, 1])
def test_samples_of_user_space_are_drained(jit: int) -> None:
    """V12: the helper calls a function of the program for each."""
    lab = rested()
    lab.set_bpf_jit(jit)
    lab.load_program(DRAIN, "drain")
    lab.attach("drain", "vfs_read")
    for number in range(2):
        assert lab.write_user_ringbuf("orders", bytes([number]) * 8)
    lab.type("cat /etc/motd")
    lab.run()
    drained = [event.fields["ret"] for event in only(lab, "bpf.helper") if "drain" in event.fields["name"]]
    assert (drained[0], set(drained[1:])) == (2, {0})
