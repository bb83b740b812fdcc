"""The four profiles: which mechanism a probe gets in each, what is shown of it, and that all of it runs backwards."""

from __future__ import annotations

from functools import cache

import pytest

from kprobesim.errors import ImageError, LinuxError
from kprobesim.lab import Event, Grain, Lab, Phase, Profile
from kprobesim.linux_errno import Errno
from tests.lab.experiment import only, state_of

MECHANISM = {
    Profile.DISTRO: {"ftrace.trampoline"},
    Profile.BARE: {"kprobe.singlestep", "kprobe.resume"},
    Profile.SERVER: {"kprobe.boost"},
    Profile.HISTORY: {"kprobe.step_tf", "kprobe.debug"},
}
TELLTALE = {kind for kinds in MECHANISM.values() for kind in kinds}


@cache
def life(profile: Profile) -> Lab:
    """One probe at vfs_read, one return probe, and a command; the machine is back where it began."""
    lab = Lab.open(profile=profile, optimization=False)
    lab.run()
    beginning = lab.moment.insn
    lab.kprobe("vfs_read", pre_handler=lambda *_: 0)
    lab.load_program("r0 = 0\nexit", "nothing")
    lab.attach("nothing", "vfs_write", returns=True)
    lab.type("cat /etc/hostname")
    lab.run()
    lab.start = beginning
    lab.seek(beginning)
    return lab


@pytest.mark.parametrize("profile", Profile)
def test_each_profile_serves_the_same_probe_by_its_own_mechanism(profile: Profile) -> None:
    lab = life(profile)
    lab.seek_end()
    assert {event.kind for event in lab.events()} & TELLTALE == MECHANISM[profile]
    assert lab.console.endswith("toyix\n")
    vectors = {event.fields["vector"] for event in only(lab, "trap")}
    assert (3 in vectors, 1 in vectors) == (profile is not Profile.DISTRO, profile is Profile.HISTORY)


@pytest.mark.parametrize("profile", Profile)
def test_hits_are_the_same_in_every_profile(profile: Profile) -> None:
    def hits(which: Profile) -> list[tuple[str, str]]:
        return [
            (e.fields["symbol"], e.kind) for e in life(which).events() if e.kind in ("kprobe.hit", "rethook.handler")
        ]

    assert hits(profile) == hits(Profile.BARE) != []


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("grain", [Grain.PHASE, Grain.HIT, Grain.INSTRUCTION])
def test_every_step_forward_is_undone_by_a_step_back(profile: Profile, grain: Grain) -> None:
    lab = life(profile)
    if grain is Grain.HIT:
        lab.seek(lab.start)
        lab.step(grain)
    else:
        before = only(lab, "kprobe.hit")[0].seq - 3
        lab.seek(lab.events()[before] if grain is Grain.PHASE else lab.events()[before].moment.insn)
    states = [state_of(lab)]
    while len(states) < 20 and lab.step(grain):
        states.append(state_of(lab))
    assert len(states) > 3
    for state in reversed(states[:-1]):
        assert lab.step(grain, back=True)
        assert state_of(lab) == state


def phases(lab: Lab, events: list[Event]) -> list[Phase]:
    """The phases on the way through events, and between them, without repetitions."""
    found: list[Phase] = []
    lab.seek(events[0].moment.insn - 50)
    while lab.moment < events[-1].moment or lab.phase is not Phase.RUN:
        if not found or found[-1] is not lab.phase:
            found.append(lab.phase)
        assert lab.step(Grain.INSTRUCTION)
    return [*found, lab.phase]


def test_the_phases_of_a_hit_by_ftrace_have_no_trap() -> None:
    lab = life(Profile.DISTRO)
    hit = [event for event in lab.events() if event.kind in ("kprobe.hit", "kprobe.pre_handler")][:2]
    assert phases(lab, hit) == [Phase.RUN, Phase.PT_REGS, Phase.HANDLER, Phase.RESUME, Phase.RUN]
    lab.seek(hit[1])
    assert lab.phase is Phase.HANDLER


@pytest.mark.parametrize(
    ("profile", "kind", "function"),
    [
        (Profile.BARE, "kprobe.pre_handler", "kprobe_int3_handler"),
        (Profile.DISTRO, "kprobe.pre_handler", "kprobe_ftrace_handler"),
        (Profile.DISTRO, "rethook.handler", "rethook_trampoline_handler"),
        (Profile.BARE, "rethook.handler", "rethook_trampoline_handler"),
    ],
)
@pytest.mark.parametrize("jit", [0, 1])
def test_the_function_that_serves_a_hit_has_its_own_name(profile: Profile, kind: str, function: str, jit: int) -> None:
    lab = Lab.open(profile=profile, optimization=False)
    lab.set_bpf_jit(jit)
    lab.load_program("r0 = 0\nexit", "nothing")
    lab.attach("nothing", "vfs_write", returns=kind == "rethook.handler")
    lab.type("cat /etc/hostname")
    lab.run(until=["bpf.enter"])
    assert (lab.phase, lab.serving, lab.phase_name) == (Phase.BPF, function, "BPF")
    lab.step(Grain.INSTRUCTION)
    assert (lab.phase, lab.serving) == (Phase.HANDLER if not jit else Phase.BPF, function)
    lab.run(until=[kind])
    assert (lab.phase, lab.phase_name) == (Phase.HANDLER, function)


def test_an_fprobes_handler_and_ftraces_trampoline_have_their_own_names() -> None:
    lab = Lab.open(profile=Profile.DISTRO)
    lab.fprobe("vfs_open")
    lab.type("cat /etc/hostname")
    lab.run(until=["fprobe.entry"])
    assert lab.phase_name == "fprobe_handler"
    while lab.phase is Phase.HANDLER:
        lab.step(Grain.INSTRUCTION, back=True)
    assert (lab.phase, lab.serving) == (Phase.PT_REGS, "ops->func")


def test_where_no_probe_is_handled_nothing_serves() -> None:
    lab = life(Profile.BARE)
    assert (lab.phase, lab.serving, lab.phase_name) == (Phase.RUN, "", "run")


def test_the_phases_of_a_boosted_hit_have_one_trap() -> None:
    lab = life(Profile.SERVER)
    found = phases(lab, only(lab, "kprobe.boost")[:1])
    assert found[-3:] == [Phase.HANDLER, Phase.SLOT, Phase.RUN]
    assert Phase.SECOND_BREAKPOINT not in found


def test_the_phases_of_a_hit_stepped_by_the_trap_flag() -> None:
    lab = life(Profile.HISTORY)
    found = phases(lab, only(lab, "kprobe.debug")[:1])
    assert found[-4:] == [Phase.SLOT, Phase.SECOND_BREAKPOINT, Phase.RESUME, Phase.RUN]


def test_the_trampoline_and_the_probe_without_a_slot_can_be_looked_at() -> None:
    lab = life(Profile.DISTRO)
    lab.seek_end()
    probe = lab.kprobes().probes[0]
    assert (probe.ftrace, probe.armed, probe.slot, probe.slot_code) == (True, True, 0, ())
    code = lab.code(lab.kernel.symbol("ftrace_trampoline"))
    assert any("kprobe_ftrace_handler" in line.text for line in code)
    entry = lab.code(lab.kernel.symbol("vfs_read"))[0]
    assert entry.patched and entry.memory[0] == 0xE8 and entry.text.startswith("nop")


def test_the_jump_of_a_boosted_slot_is_shown() -> None:
    lab = life(Profile.SERVER)
    lab.seek_end()
    assert [line.text.split()[0] for line in lab.kprobes().probes[0].slot_code] == ["push", "jmp"]


def test_a_stack_trace_shows_who_called_a_function_whose_return_is_probed() -> None:
    """KRP-10."""
    lab = life(Profile.DISTRO)
    lab.seek(only(lab, "rethook.prepare")[0].moment.insn + 40)
    names = [lab.symbolize(address).partition("+")[0] for address in lab.backtrace()]
    assert "ksys_write" in names and "arch_rethook_trampoline" not in names


def test_fprobes_need_the_profile_that_has_ftrace() -> None:
    """FPR-01."""
    lab = Lab.open(profile="bare")
    with pytest.raises(LinuxError) as caught:
        lab.fprobe("vfs_*")
    assert caught.value.errno is Errno.EINVAL
    lab = Lab.open(profile="distro")
    seen: list[int] = []
    fprobe = lab.fprobe("vfs_*", entry_handler=lambda _, ip, __, ___: seen.append(ip), notfilter="vfs_w*")
    lab.type("cat /etc/hostname")
    lab.run()
    assert lab.kernel.symbol("vfs_read") in seen and lab.kernel.symbol("vfs_write") not in seen
    lab.unregister_fprobe(fprobe)
    assert not lab.manager.kprobes.ftrace.users(lab.kernel.symbol("vfs_read"))


def test_an_image_that_takes_no_db_cannot_be_opened_with_history() -> None:
    with pytest.raises(ImageError, match="kprobe_debug_handler"):
        Lab.open("tiny", profile="history")
    for profile in (Profile.DISTRO, Profile.BARE, Profile.SERVER):
        lab = Lab.open("tiny", profile=profile)
        lab.kprobe("tiny_add")
        lab.run()
        assert lab.console == "0123456789\n"
