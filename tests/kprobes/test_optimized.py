"""The life of an optimized probe: int3, jump, int3 again; who asks for it, and when it happens."""

import hashlib

import pytest

from kprobesim.image import open_image
from kprobesim.kprobes import INT3, PT_REGS_FIELDS, Kprobe, KprobeConfig, Kretprobe
from kprobesim.kprobes.kprobe import KprobeFlag
from kprobesim.kprobes.optimize import JIFFY_NS, OPTIMIZE_DELAY, Optimizer
from kprobesim.kprobes.quiescence import anybody_inside
from kprobesim.machine import Moment, Stop
from tests.guests.kernel import HIDDEN, HandMadeKernel
from tests.kprobes.running import Running, Spy

JMP = 0xE9
IF = 1 << 9
RESCHEDULE_VECTOR, TIF_NEED_RESCHED = 0xFD, 1 << 3
LIFE = ("kprobe.opt_", "kprobe.unopt", "kprobe.optimi", "text.", "kprobe.detour", "kprobe.hit")


def optimizing(cpus: int = 1, *, allowed: bool = True) -> Running:
    """A kernel at rest: init waits for a command."""
    config = KprobeConfig(optprobes=True, optimization=allowed)
    running = Running(open_image("toyix", variant="bare"), cpus=cpus, config=config)
    running.run()
    return running


def read_something(running: Running) -> None:
    """Have the kernel read, as soon as it runs."""
    do(running, running.machine.devices.type, b"cat /etc/motd\n")


def optimizer_of(running: Running) -> Optimizer:
    assert running.kprobes.optimizer is not None
    return running.kprobes.optimizer


def do(running: Running, what: object, *arguments: object) -> None:
    assert callable(what)
    running.timeline.input("test", lambda: what(*arguments))


def let_the_optimizer_come(running: Running) -> None:
    """Half a second, as Linux's own tests wait."""
    goal = running.machine.ns + 500_000_000
    while running.machine.ns < goal and running.run(running.machine.retired + 1_000_000).name == "LIMIT":
        pass


def text(running: Running, probe: Kprobe, size: int = 5) -> bytes:
    assert probe.addr is not None
    return running.kernel.read(probe.addr, size)


def site_of(running: Running, probe: Kprobe) -> Kprobe:
    assert probe.addr is not None
    site = running.kprobes.get_kprobe(probe.addr)
    assert site is not None
    return site


def jump_to_detour(running: Running, probe: Kprobe) -> bytes:
    optinsn = site_of(running, probe).optinsn
    assert optinsn is not None and probe.addr is not None
    return bytes([JMP]) + (optinsn.insn - probe.addr - 5).to_bytes(4, "little", signed=True)


def vfs_read(offset: int = 0, **handlers: object) -> Kprobe:
    return Kprobe(symbol_name="vfs_read", offset=offset, **handlers)  # type: ignore[arg-type]


# Becoming a jump


def test_a_probe_that_can_be_a_jump_is_wrapped_at_once() -> None:
    """REG-21: the table holds an aggregator with one child."""
    running = optimizing()
    probe = running.register(vfs_read())
    site = site_of(running, probe)
    assert site is not probe
    assert site.children == [probe]
    assert site.flags & KprobeFlag.OPTIMIZED and not probe.flags & KprobeFlag.OPTIMIZED


def test_the_flag_comes_before_the_jump_and_the_jump_five_jiffies_later() -> None:
    """OPT-06, OPT-08: CC with the flag, then E9 and the distance to the buffer."""
    running = optimizing()
    registered = running.machine.ns
    original = running.kernel.read(running.symbol("vfs_read"), 5)
    probe = running.register(vfs_read())
    assert site_of(running, probe).is_optimized
    assert text(running, probe) == bytes([INT3]) + original[1:]
    let_the_optimizer_come(running)
    assert text(running, probe) == jump_to_detour(running, probe)
    came = running.events("kprobe.optimizer")[0].ns
    assert 0 < OPTIMIZE_DELAY * JIFFY_NS - (came - registered) <= JIFFY_NS
    optinsn = site_of(running, probe).optinsn
    assert optinsn is not None and optinsn.copied == original[1:]


def test_the_jump_is_written_in_three_stages() -> None:
    """TXT-05, OPT-08: CC old, CC new, E9 new, each seen by all CPUs before the next."""
    running = optimizing()
    original = running.kernel.read(running.symbol("vfs_read"), 5)
    probe = running.register(vfs_read())
    let_the_optimizer_come(running)
    jump = text(running, probe)
    seen = []
    for event in running.events("text.poke")[1:]:
        running.timeline.seek(event.moment)
        seen.append((event.fields["stage"], text(running, probe)))
    assert seen == [(1, b"\xcc" + original[1:]), (2, b"\xcc" + jump[1:]), (3, jump)]
    staged = [event.kind for event in running.events("text.poke", "text.sync", "kprobe.optimize")[1:]]
    assert staged == ["text.poke", "text.sync"] * 3 + ["kprobe.optimize"]


def test_before_the_jump_a_hit_goes_from_the_int3_into_the_buffer() -> None:
    """OPT-06, INT-07 (a): one trap, no step in the slot."""
    spy = Spy()
    running = optimizing()
    probe = running.register(vfs_read(pre_handler=spy.pre()))
    read_something(running)
    running.timeline.run(stop_kinds=["kprobe.detour"])
    optinsn = site_of(running, probe).optinsn
    assert optinsn is not None
    assert [event.kind for event in running.machine.log][-5:] == [
        "trap", "gate", "kprobe.hit", "kprobe.pre_handler", "kprobe.detour",
    ]  # fmt: skip
    assert running.kprobes.ctlblk[0].current is None
    running.timeline.run(running.machine.retired + 200, stop_kinds=["trap"])
    assert running.events("kprobe.detour")[0].fields["ip"] == optinsn.detour
    assert not running.events("kprobe.singlestep")
    assert "kprobe.resume" not in running.kinds()


# A hit of the jump


def jumped(spy: Spy | None = None) -> tuple[Running, Kprobe]:
    """A probe on vfs_read that is a jump already; something is about to be read."""
    running = optimizing()
    probe = running.register(vfs_read(pre_handler=(spy or Spy()).pre()))
    let_the_optimizer_come(running)
    assert text(running, probe)[0] == JMP
    read_something(running)
    return running, probe


def test_a_hit_of_the_jump_takes_no_trap() -> None:
    """OPT-09"""
    spy = Spy()
    running, _ = jumped(spy)
    spy.calls.clear()
    running.run()
    assert spy.calls
    place = running.symbol("vfs_read")
    assert not [event for event in running.events("trap") if event.fields["rip"] == place + 1]
    assert len(running.events("kprobe.opt_hit")) == len(spy.calls)


def test_the_handler_sees_what_it_would_see_after_an_int3_but_interrupts_are_as_they_were() -> None:
    """OPT-10: ip behind the probe, sp at the return address, IF set; not in an NMI-like context."""
    running, _ = jumped()
    running.timeline.run(stop_kinds=["kprobe.opt_hit"])
    assert running.machine.registers()["rflags"] & IF
    block = running.kprobes.ctlblk[0]
    assert block.current is running.kprobes.get_kprobe(running.symbol("vfs_read"))
    ram, kernel = running.machine.ram, running.kernel
    assert ram.read(kernel.percpu_physical("__preempt_count", 0), 4) == bytes(4)
    assert ram.read_u64(kernel.percpu_physical("current_kprobe", 0)) == running.symbol("vfs_read")


def test_all_registers_are_those_at_the_probe() -> None:
    """OPT-10: held against the machine's own registers at the jump."""
    spy = Spy()
    running, probe = jumped(spy)
    spy.calls.clear()
    running.timeline.run(stop_kinds=["kprobe.opt_hit"])
    hit = running.machine.moment
    while running.machine.registers()["rip"] != probe.addr:
        running.timeline.seek(Moment(running.machine.moment.insn - 1))
    cpu = running.machine.registers()
    running.timeline.seek(Moment(hit.insn + 1))
    regs = spy.calls[-1][1]
    names = {"ip": "rip", "sp": "rsp", "flags": "rflags", "cs": "cs", "ss": "ss"}
    for name in PT_REGS_FIELDS:
        if name not in ("orig_ax", "ip"):
            assert regs[name] == cpu[names.get(name, name if name[1:].isdigit() else f"r{name}")], name
    assert (regs["ip"], regs["orig_ax"]) == (cpu["rip"] + 1, (1 << 64) - 1)


def test_what_a_handler_returns_and_does_to_ip_is_ignored() -> None:
    """OPT-11, BPF-08: no way round the function through a jump."""
    running = optimizing()
    spy = Spy()
    running.register(vfs_read(pre_handler=spy.pre(answer=1, ip=0x1234)))
    running.register(vfs_read(pre_handler=spy.pre("second")))
    let_the_optimizer_come(running)
    read_something(running)
    running.run()
    assert "This is toyix" in running.console()
    assert spy.names[:2] == ["second", "pre"]
    assert running.events("kprobe.opt_pre_handler")[0].fields["ret"] == 1


def test_a_register_that_a_handler_changes_is_changed_for_the_function() -> None:
    """INT-13 in the detour: nothing is written, as the count is made 0."""
    running = optimizing()
    running.register(Kprobe(symbol_name="vfs_write", pre_handler=Spy().pre(dx=0)))
    let_the_optimizer_come(running)
    read_something(running)
    running.run(running.machine.retired + 2_000_000)
    assert "This is toyix" not in running.console()


def test_a_return_probe_works_through_a_jump() -> None:
    """KRP-03: the stack pointer that it replaces the return address at is right."""
    running = optimizing()
    spy = Spy()
    running.register(Kretprobe(Kprobe(symbol_name="vfs_read"), handler=spy.returned()))
    let_the_optimizer_come(running)
    read_something(running)
    running.run()
    assert running.events("kprobe.opt_hit")
    assert {regs["ax"] for _, regs in spy.calls} == {0, 83}
    assert "This is toyix" in running.console()


def test_a_jump_hit_while_a_probe_is_handled_counts_a_miss_and_goes_on() -> None:
    """REE-05: the page fault of a stepped instruction leads through an optimized function."""
    kernel = HandMadeKernel()
    kernel.fault_path_nops = 8
    kernel.code.op(*["nop"] * 40).mov("rcx", HIDDEN).op("sti").call("probed").op("cli", "hlt")
    kernel.function("probed").op("mov (%rcx),%rax", "ret")
    running = Running(kernel.image(), ram_size=2 << 20, config=KprobeConfig(optprobes=True))
    spy = Spy()
    inner = running.register(Kprobe(symbol_name="fault_path", pre_handler=spy.pre("inner")))
    outer = running.register(Kprobe(symbol_name="probed", pre_handler=spy.pre("outer"), post_handler=spy.post()))
    optimizer = optimizer_of(running)
    do(running, running.machine.cancel, optimizer._kprobe_optimizer)
    do(running, optimizer._kprobe_optimizer)
    assert running.byte(inner.addr or 0) == JMP
    running.run(running.machine.retired + 2_000)
    assert (inner.nmissed, outer.nmissed) == (1, 0)
    assert spy.names == ["outer", "outer", "post"]


# Conditions of the moment


def test_a_post_handler_forbids_a_jump() -> None:
    """OPT-05"""
    running = optimizing()
    probe = running.register(vfs_read(post_handler=Spy().post()))
    let_the_optimizer_come(running)
    assert not site_of(running, probe).is_optimized
    assert running.byte(probe.addr or 0) == INT3


def test_a_post_handler_that_comes_takes_the_jump_away_and_one_that_leaves_brings_it_back() -> None:
    """AGG-06: E9, CC at once, E9 later."""
    running, probe = jumped()
    late = running.register(vfs_read(post_handler=Spy().post()))
    assert running.byte(probe.addr or 0) == INT3
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == INT3
    running.unregister(late)
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == JMP


def test_a_disabled_probe_waits_for_nothing() -> None:
    """OPT-05"""
    running = optimizing()
    probe = running.register(vfs_read(disabled=True))
    let_the_optimizer_come(running)
    assert not site_of(running, probe).is_optimized
    do(running, running.kprobes.enable_kprobe, probe)
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == JMP


def test_an_armed_probe_in_the_replaced_instructions_forbids_a_jump_until_it_is_disarmed() -> None:
    """OPT-04: vfs_read begins with 1 + 3 + 2 bytes."""
    running = optimizing()
    neighbour = running.register(vfs_read(1))
    probe = running.register(vfs_read())
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == INT3
    do(running, running.kprobes.disable_kprobe, neighbour)
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == INT3  # nobody asks again once the optimizer has disarmed it: as in Linux
    do(running, running.kprobes.disable_kprobe, probe)
    do(running, running.kprobes.enable_kprobe, probe)
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == JMP


def test_a_probe_in_the_replaced_instructions_takes_the_jump_away_at_once() -> None:
    """OPT-12: as on the real kernel, where ksys_read+5 goes back to int3 for ksys_read+7."""
    running, probe = jumped()
    neighbour = running.register(vfs_read(1))
    assert running.byte(probe.addr or 0) == running.byte(neighbour.addr or 0) == INT3
    assert not site_of(running, probe).is_optimized
    let_the_optimizer_come(running)
    assert running.byte(neighbour.addr or 0) == JMP


def test_unoptimizing_writes_the_int3_first_and_the_tail_behind_it() -> None:
    """TXT-07: E9 d d d d, CC d d d d, CC o o o o."""
    running, probe = jumped()
    jump = text(running, probe)
    optinsn = site_of(running, probe).optinsn
    assert optinsn is not None
    count = len(running.events("text.poke"))
    running.register(vfs_read(post_handler=Spy().post()))
    seen = []
    for event in running.events("text.poke")[count:]:
        running.timeline.seek(event.moment)
        seen.append(text(running, probe))
    assert seen == [b"\xcc" + jump[1:], b"\xcc" + optinsn.copied]


# Going away


def test_a_jump_stays_after_disabling_until_the_optimizer_comes_and_calls_no_handler() -> None:
    """OPT-13, OPT-10"""
    spy = Spy()
    running, probe = jumped(spy)
    do(running, running.kprobes.disable_kprobe, probe)
    assert running.byte(probe.addr or 0) == JMP
    running.timeline.run(stop_kinds=["kprobe.optimizer"])
    assert running.byte(probe.addr or 0) == JMP
    assert "This is toyix" in running.console()
    assert not spy.calls
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == site_of(running, probe).opcode
    assert not site_of(running, probe).is_optimized


def test_an_unregistered_probe_leaves_the_text_as_it_was_and_its_buffer_free() -> None:
    """OPT-13, REG-23: afterwards nothing is left of it."""
    running = optimizing()
    before = running.text()
    spy = Spy()
    probe = running.register(vfs_read(pre_handler=spy.pre()))
    let_the_optimizer_come(running)
    address = probe.addr or 0
    running.unregister(probe)
    assert running.byte(address) == JMP
    assert list(running.kprobes) == []
    read_something(running)
    let_the_optimizer_come(running)
    assert running.text() == before
    assert running.kprobes.sites() == ()
    assert not spy.calls
    assert running.kprobes.slots.used == 0


def test_a_jump_that_waits_to_go_goes_at_once_for_a_neighbour() -> None:
    """OPT-12, OPT-13: forced while it is queued; the optimizer disarms it later."""
    running, probe = jumped()
    address, original = probe.addr or 0, site_of(running, probe).opcode
    running.unregister(probe)
    assert running.byte(address) == JMP
    neighbour = running.register(vfs_read(1))
    assert running.byte(address) == running.byte(neighbour.addr or 0) == INT3
    let_the_optimizer_come(running)
    assert running.byte(address) == original
    assert running.byte(neighbour.addr or 0) == JMP
    assert running.kprobes.get_kprobe(address) is None
    assert "This is toyix" in running.console()


def test_a_probe_in_a_place_that_is_being_cleared_stays_an_int3_until_it_is_asked_for_again() -> None:
    """AGG-07 after OPT-12: an aggregator that is on its way out of the lists joins none."""
    running, probe = jumped()
    address = probe.addr or 0
    running.unregister(probe)
    neighbour = running.register(vfs_read(1))
    spy = Spy()
    late = running.register(vfs_read(pre_handler=spy.pre()))
    let_the_optimizer_come(running)
    assert running.byte(address) == INT3
    assert not site_of(running, late).is_optimized
    assert spy.calls
    running.unregister(late, neighbour)
    let_the_optimizer_come(running)
    assert running.kprobes.sites() == ()
    assert running.kprobes.slots.used == 0


def test_buffers_are_used_again_when_nobody_is_inside() -> None:
    """REG-14: dirty slots are collected when a page is full; no second page is needed."""
    running = optimizing()

    def register_and_remove() -> None:
        for _ in range(80):
            probe = vfs_read()
            running.kprobes.register_kprobe(probe)
            running.kprobes.unregister_kprobe(probe)

    do(running, register_and_remove)
    pages = [symbol.name for symbol in running.kernel.kallsyms if symbol.name == "kprobe_optinsn_page"]
    assert len(pages) == 1


def test_a_probe_that_only_waits_is_taken_off_the_list() -> None:
    """OPT-13: no jump was written, so nothing is delayed."""
    running = optimizing()
    before = running.text()
    probe = running.register(vfs_read())
    running.unregister(probe)
    assert running.text() == before
    assert running.events("kprobe.opt_dequeue")
    let_the_optimizer_come(running)
    assert running.text() == before


def test_a_probe_that_comes_before_the_jump_is_taken_away_keeps_it() -> None:
    """AGG-07: the unused aggregator is revived."""
    spy = Spy()
    running, probe = jumped()
    site = site_of(running, probe)
    running.unregister(probe)
    assert site.children == []
    late = running.register(vfs_read(pre_handler=spy.pre()))
    assert site_of(running, late) is site
    let_the_optimizer_come(running)
    assert running.byte(late.addr or 0) == JMP
    assert spy.calls


def test_a_disabled_probe_that_revives_a_jump_leaves_it_behind() -> None:
    """AGG-07, as Linux: reviving enables the place, and it stays a jump that calls nobody until somebody comes."""
    running, probe = jumped()
    running.unregister(probe)
    late = running.register(vfs_read(disabled=True))
    site = site_of(running, late)
    running.unregister(late)
    let_the_optimizer_come(running)
    assert running.byte(running.symbol("vfs_read")) == JMP
    assert site.children == [] and not running.events("kprobe.miss")
    again = running.register(vfs_read())
    assert site_of(running, again) is site
    running.unregister(again)
    let_the_optimizer_come(running)
    assert running.byte(running.symbol("vfs_read")) != JMP
    assert not running.kprobes.sites()


def test_a_buffer_that_a_cpu_is_inside_of_is_not_freed() -> None:
    """OPT-07 (4): the optimizer waits for tasks."""
    running, probe = jumped()
    running.timeline.run(stop_kinds=["kprobe.opt_hit"])
    running.timeline.seek(Moment(running.machine.moment.insn + 1))
    optinsn = site_of(running, probe).optinsn
    assert optinsn is not None
    running.unregister(probe)
    optimizer = optimizer_of(running)
    do(running, optimizer.wait)
    assert running.byte(running.symbol("vfs_read")) != JMP
    assert not running.events("kprobe.opt_free")
    code = running.kernel.read(optinsn.insn, optinsn.end - optinsn.insn)
    others = [running.register(Kprobe(symbol_name=name)) for name in ("vfs_write", "ksys_read", "ksys_write")]
    assert running.kernel.read(optinsn.insn, len(code)) == code
    assert all(site_of(running, other).optinsn for other in others)
    running.run()
    assert running.events("kprobe.opt_free")
    assert "This is toyix" in running.console()


def test_the_optimizer_takes_jumps_away_before_it_makes_new_ones_and_frees_last() -> None:
    """OPT-07"""
    running, probe = jumped()
    running.unregister(probe)
    running.register(Kprobe(symbol_name="vfs_write"))
    let_the_optimizer_come(running)
    kinds = running.kinds("kprobe.")
    order = kinds[len(kinds) - 1 - kinds[::-1].index("kprobe.optimizer") :]
    order = [
        kind
        for kind in order
        if kind in ("kprobe.optimizer", "kprobe.unoptimize", "kprobe.optimize", "kprobe.opt_free")
    ]
    assert order == ["kprobe.optimizer", "kprobe.unoptimize", "kprobe.optimize", "kprobe.opt_free"]


def test_a_preempted_task_in_the_replaced_bytes_is_waited_for() -> None:
    """OPT-07 (2): its CPU runs something else, but it will come back."""
    running = optimizing()
    count = 3_000
    command = f"dd if=/dev/zero of=/dev/null bs=1 count={count} status=none &\n".encode()
    do(running, running.machine.devices.type, command * 2)
    place, machine = running.symbol("vfs_read"), running.machine
    running.timeline.run((machine.retired + 1_500_000) // 16 * 16)
    span = [(place + 1, place + 5)]
    switched = False
    while not switched:  # the scheduler may find that the same task is still the one to run
        running.timeline.run(stop_address=place + 1)
        if machine.retired % 16:  # interrupts are taken where the count of instructions is a multiple of 16
            do(running, machine.cpus[0].raise_interrupt, RESCHEDULE_VECTOR)  # which shifts the next round's count
            continue
        assert anybody_inside(running.kernel, span)
        thread_info = running.kernel.current(0).address + running.kernel.task_offset("thread_info")
        flags = running.kernel.read_u64(thread_info) | TIF_NEED_RESCHED
        do(running, running.kernel.write, thread_info, flags.to_bytes(8, "little"))
        do(running, machine.cpus[0].raise_interrupt, RESCHEDULE_VECTOR)
        switched = running.timeline.run(machine.retired + 5_000, stop_kinds=["sched.switch"]) is Stop.MOMENT
    preempted = running.events("sched.switch")[-1].fields["prev"]
    running.timeline.seek(Moment(machine.moment.insn + 500))
    assert running.kernel.current(0).address != preempted
    assert anybody_inside(running.kernel, span)
    running.run(80_000_000)
    assert not anybody_inside(running.kernel, span)


def test_nobody_is_in_the_replaced_bytes_when_they_change() -> None:
    """OPT-07 (2): a CPU that has stepped the probed instruction is not surprised by the jump."""
    running = optimizing()
    probe = running.register(vfs_read(post_handler=Spy().post()))
    read_something(running)
    running.timeline.run(stop_kinds=["kprobe.resume"])
    running.timeline.seek(Moment(running.machine.moment.insn + 1))
    while running.machine.registers()["rip"] != (probe.addr or 0) + 1:
        running.timeline.run(running.machine.retired + 1)
    running.unregister(probe)
    late = running.register(vfs_read())
    optimizer = optimizer_of(running)
    do(running, optimizer._kprobe_optimizer)
    assert running.byte(late.addr or 0) == INT3
    let_the_optimizer_come(running)
    assert running.byte(late.addr or 0) == JMP
    assert "This is toyix" in running.console()


# What decoders see, and the switches


def test_a_probe_behind_a_jump_is_placed_as_if_there_were_none() -> None:
    """OPT-14, REG-13: the boundary check and the copy see the original bytes."""
    running, probe = jumped()
    plain = optimizing()
    for offset in (1, 4, 6, 8):
        mine, theirs = Kprobe(symbol_name="vfs_read", offset=offset), Kprobe(symbol_name="vfs_read", offset=offset)
        running.register(mine)
        plain.register(theirs)
        assert mine.ainsn is not None and theirs.ainsn is not None
        assert mine.ainsn.original == theirs.ainsn.original
    assert probe.ainsn is not None and probe.ainsn.original == b"\x55"


def test_the_sysctl_takes_all_jumps_away_and_brings_them_back() -> None:
    """OPT-15"""
    running, probe = jumped()
    other = running.register(Kprobe(symbol_name="vfs_write"))
    optimizer = optimizer_of(running)
    do(running, optimizer.allow, False)
    assert running.byte(probe.addr or 0) == running.byte(other.addr or 0) == INT3
    assert not site_of(running, probe).is_optimized and not site_of(running, other).is_optimized
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == INT3
    do(running, optimizer.allow, True)
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == running.byte(other.addr or 0) == JMP


def test_switched_off_at_boot_nothing_becomes_a_jump() -> None:
    """OPT-05"""
    running = optimizing(allowed=False)
    probe = running.register(vfs_read())
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == INT3
    assert not site_of(running, probe).is_optimized


def test_the_global_switch_takes_jumps_away_at_once() -> None:
    """REG-25, OPT-05"""
    running, probe = jumped()
    before = site_of(running, probe).opcode
    do(running, running.kprobes.arm_all_kprobes, False)
    assert running.byte(probe.addr or 0) == before
    do(running, running.kprobes.arm_all_kprobes, True)
    assert running.byte(probe.addr or 0) == INT3
    let_the_optimizer_come(running)
    assert running.byte(probe.addr or 0) == JMP


def test_without_the_option_a_probe_is_no_aggregator() -> None:
    running = Running(open_image("toyix", variant="bare"))
    probe = running.register(vfs_read())
    assert site_of(running, probe) is probe
    assert running.kprobes.optimizer is None


# Back and forth


@pytest.mark.parametrize("cpus", [1, 2])
def test_every_stage_of_the_life_can_be_gone_back_to(cpus: int) -> None:
    """The same bytes, lists and registers, reached forwards and backwards."""
    running = optimizing(cpus)
    probe = running.register(vfs_read(pre_handler=lambda _, __: 0))
    read_something(running)
    let_the_optimizer_come(running)
    read_something(running)
    running.timeline.run(stop_kinds=["kprobe.opt_hit"])
    running.timeline.seek(Moment(running.machine.moment.insn + 1))
    running.unregister(probe)
    let_the_optimizer_come(running)
    events = [event for event in running.machine.log if event.kind.startswith(LIFE)]
    assert len({event.kind for event in events}) >= 11

    def state() -> tuple[object, ...]:
        registers = [running.machine.registers(cpu.number) for cpu in running.machine.cpus]
        sites = [
            (site.addr, site.opcode, int(site.flags), site.optinsn, [child.nmissed for child in site.children or ()])
            for site in running.kprobes.sites()
        ]
        optimizer, ram = optimizer_of(running), hashlib.sha256(running.machine.ram.bytes).hexdigest()
        return sites, optimizer.slots.save(), sorted(optimizer.by_detour), registers, ram, running.machine.seq

    forward = []
    for event in events:
        running.timeline.seek(event.moment)
        forward.append(state())
    backward = []
    for event in reversed(events):
        running.timeline.seek(event.moment)
        backward.append(state())
    assert forward == backward[::-1]
    log = list(running.machine.log)
    running.timeline.seek_end()
    assert list(running.machine.log) == log
