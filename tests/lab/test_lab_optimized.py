"""A hit of an optimized probe, looked at through the lab, forwards and backwards."""

import functools

from kprobesim.kprobes.detour import TEMPLATE_SIZE
from kprobesim.lab import Grain, Lab, Phase
from tests.lab.experiment import by_pid, only, rested, state_of


@functools.cache
def life() -> Lab:
    """A counting program on a probe that is a jump already when something is read."""
    lab = rested(optimization=True)
    lab.load_program(by_pid(), "by_pid")
    lab.attach("by_pid", "vfs_read")
    lab.run()
    lab.type("cat /home/notes.txt")
    lab.run()
    return lab


def before_a_hit(lab: Lab) -> int:
    """Go to where the jump stands before the CPU; the instruction's number."""
    hit = only(lab, "kprobe.opt_hit")[0]
    place = hit.fields["addr"]
    lab.seek(hit.moment.insn)
    while lab.registers()["rip"] != place:
        lab.step(Grain.INSTRUCTION, back=True)
    return lab.moment.insn


def test_every_instruction_of_the_detour_is_executed_and_can_be_taken_back() -> None:
    """OPT-09: from the jump through the buffer and back behind the replaced instructions."""
    lab = life()
    start = before_a_hit(lab)
    place = lab.registers()["rip"]
    view = lab.kprobes().probes[0]
    forward, seen = [state_of(lab)], []
    while not forward[1:] or not place < lab.registers()["rip"] < place + 32:
        lab.step(Grain.INSTRUCTION)
        seen.append(lab.registers()["rip"])
        forward.append(state_of(lab))
    assert [address for address in seen if address >= view.detour] == [line.address for line in view.detour_code]
    assert seen[-1] == place + 6
    backward = [state_of(lab)]
    while lab.moment.insn > start:
        lab.step(Grain.INSTRUCTION, back=True)
        backward.append(state_of(lab))
    assert backward[::-1] == forward


def test_inside_the_buffer_the_phase_is_the_detour_and_the_code_is_the_buffers() -> None:
    lab = life()
    before_a_hit(lab)
    phases = [lab.phase]
    lab.step(Grain.INSTRUCTION)
    assert [*phases, lab.phase] == [Phase.RUN, Phase.DETOUR]
    code = lab.code()
    assert code[0].text == "push   $0x18"
    assert code[-1].text.endswith("<vfs_read+0x6>")
    hit = only(lab, "kprobe.opt_hit")[0]
    lab.seek(hit)
    assert lab.phase is Phase.DETOUR
    assert lab.kprobes().current == lab.kprobes().probes[0].name
    assert lab.kprobes().status == "HIT_ACTIVE"


def test_a_hit_of_a_jump_is_a_hit_to_step_to() -> None:
    lab = life()
    first, second = only(lab, "kprobe.opt_hit")[:2]
    lab.seek(first)
    lab.step(Grain.HIT)
    assert lab.last_event == second
    lab.step(Grain.HIT, back=True)
    assert lab.last_event == first


def test_a_probe_tells_whether_it_is_a_jump() -> None:
    lab = life()
    before_a_hit(lab)
    view = lab.kprobes().probes[0]
    assert (view.optimized, view.armed, view.byte, view.hidden) == (True, True, 0xE9, 0x55)
    assert view.detour_code[0].address == view.detour
    copied = next(line for line in view.detour_code if line.address == view.detour + TEMPLATE_SIZE)
    assert copied.text == "push   %rbp"
    plain = rested()
    probe = plain.kprobe("vfs_read")
    view = plain.kprobes().probes[0]
    assert (view.optimized, view.byte, probe.addr) == (False, 0xCC, view.address)
