"""Probes at a function's entry that ftrace serves: a nop that becomes a call, and no trap at all."""

from collections.abc import Callable

import pytest

from kprobesim.errors import LinuxError
from kprobesim.image import Instruction, decode_one, decode_range
from kprobesim.kprobes import (
    INT3,
    NOP5,
    FtraceOps,
    Kprobe,
    KprobeConfig,
    KprobeFlag,
    KprobeStatus,
    Kretprobe,
    PtRegs,
)
from kprobesim.linux_errno import Errno
from kprobesim.machine import Moment, VCpu
from tests.kprobes.running import Running, Spy

IF = 1 << 9
DISTRO = KprobeConfig(ftrace=True)
CALL = 0xE8


@pytest.fixture
def distro(boot_toyix: Callable[..., Running]) -> Running:
    return boot_toyix(variant="distro", config=DISTRO, commands=["cat /etc/hostname"])


def entry(running: Running, symbol: str = "vfs_read") -> bytes:
    return running.kernel.read(running.symbol(symbol), 5)


def target(running: Running, symbol: str = "vfs_read") -> str:
    """What the call at a function's entry calls."""
    call = decode_one(entry(running, symbol), running.symbol(symbol))
    assert isinstance(call, Instruction) and call.mnemonic == "call"
    return running.kernel.kallsyms.symbolize(call.end + call.immediate)


def refusal(running: Running, probe: Kprobe) -> Errno:
    """Why a probe is refused; nothing may have changed."""
    text, known = running.text(), list(running.kprobes)
    with pytest.raises(LinuxError) as caught:
        running.kprobes.register_kprobe(probe)
    assert (running.text(), list(running.kprobes)) == (text, known)
    return caught.value.errno


# The patched entry


def test_a_trap_taken_in_a_patch_that_is_cut_short_runs_what_is_there_now(boot_toyix: Callable[..., Running]) -> None:
    """TXT-05, INT-05: a CPU has met the int3 at an entry; before it looks whose it is, the host ends the patch."""
    busy = "dd if=/dev/zero of=/dev/null bs=1 count=3000 status=none"
    distro = boot_toyix(variant="distro", config=DISTRO, cpus=2, commands=[f"{busy} & {busy}; wait; echo done"])
    distro.timeline.run(distro.machine.retired + 1_500_000)
    distro.register(Kprobe(symbol_name="vfs_read"))
    while distro.events("trap")[-1].fields["vector"] != 3:
        distro.timeline.run(distro.machine.retired + 1_000_000, stop_kinds=["trap"])
    distro.timeline.seek(Moment(distro.machine.moment.insn + 4))
    assert entry(distro)[0] == INT3
    distro.register(Kprobe(symbol_name="vfs_write", offset=5))
    assert entry(distro)[0] == CALL
    distro.run()
    assert [event.fields["addr"] for event in distro.events("kprobe.removed")] == [distro.symbol("vfs_read")]
    assert distro.console().splitlines()[-1] == "done"


def test_a_probe_that_goes_before_its_call_was_written_leaves_the_nop(boot_toyix: Callable[..., Running]) -> None:
    """TXT-05: on two CPUs an earlier patch takes its time, and this one waits behind it."""
    distro = boot_toyix(variant="distro", config=DISTRO, cpus=2)
    distro.register(Kprobe(symbol_name="vfs_write"))
    probe = distro.register(Kprobe(symbol_name="vfs_read"))
    assert distro.manager.text.busy
    distro.unregister(probe)
    distro.run()
    assert entry(distro, "vfs_write")[0] == CALL
    assert entry(distro) == NOP5


def test_arming_makes_the_nop_a_call_of_a_trampoline_and_disarming_a_nop_again(distro: Running) -> None:
    """FTR-01, REG-05: no int3, no slot, nothing else in the text changes."""
    before = distro.text()
    assert entry(distro) == NOP5
    probe = distro.register(Kprobe(symbol_name="vfs_read"))
    assert probe.flags & KprobeFlag.FTRACE
    assert (probe.ainsn, distro.kprobes.slots.used) == (None, 0)
    assert entry(distro)[0] == CALL and target(distro) == "ftrace_trampoline+0x0"
    place = distro.symbol("vfs_read") - distro.kernel.tables.text[0].start
    after = distro.text()
    assert [at for at in range(len(before)) if before[at] != after[at]] == [
        at for at in range(place, place + 5) if before[at] != after[at]
    ]
    assert distro.kprobes.is_armed(probe)
    distro.unregister(probe)
    assert distro.text() == before


def test_the_trampoline_is_the_images_own_code_with_another_call(distro: Running) -> None:
    """FTR-01: a copy of ftrace_regs_caller, and a ret behind it."""
    distro.register(Kprobe(symbol_name="vfs_read"))
    symbol = distro.symbol
    start, size = symbol("ftrace_trampoline"), distro.kprobes.ftrace.trampoline_size
    copy = [item for item in decode_range(distro.kernel.read(start, size), start) if isinstance(item, Instruction)]
    original = distro.kernel.read(symbol("ftrace_regs_caller"), size - 2)
    calls = [item for item in copy if item.mnemonic == "call"]
    assert [distro.kernel.kallsyms.symbolize(item.end + item.immediate) for item in calls] == [
        "kprobe_ftrace_handler+0x0"
    ]
    at = calls[0].address - start
    code = distro.kernel.read(start, size)
    # Nobody but the user of the copy can ask it to go elsewhere: the jump for that is a nop.
    jump = symbol("ftrace_regs_caller_jmp") - symbol("ftrace_regs_caller")
    assert code[jump : jump + 2] == b"\x66\x90"
    code, original = (text[:jump] + text[jump + 2 :] for text in (code, original))
    assert code[:at] + code[at + 5 : -2] == original[:at] + original[at + 5 :]
    assert [item.mnemonic for item in copy[-2:]] == ["ret", "int3"]


def test_all_probes_share_one_trampoline_that_stays(distro: Running) -> None:
    """FTR-01: one ftrace_ops, whose trampoline Linux does not give back either."""
    probes = [distro.register(Kprobe(symbol_name=name)) for name in ("vfs_read", "vfs_write", "vfs_open")]
    where = distro.symbol("ftrace_trampoline")
    assert {target(distro, name) for name in ("vfs_read", "vfs_write", "vfs_open")} == {"ftrace_trampoline+0x0"}
    distro.unregister(*probes)
    distro.register(Kprobe(symbol_name="vfs_read"))
    assert distro.symbol("ftrace_trampoline") == where
    assert len(distro.events("ftrace.trampoline")) == 1


def test_without_room_for_a_trampoline_the_original_serves(distro: Running) -> None:
    spy = Spy()

    def fill() -> None:
        with pytest.raises(LinuxError):
            while True:
                distro.kernel.modules.alloc_page("other")
        distro.kprobes.register_kprobe(Kprobe(symbol_name="vfs_read", pre_handler=spy.pre()))

    distro.timeline.input("fill", fill)
    assert target(distro) == "ftrace_regs_caller+0x0"
    distro.run()
    assert spy.calls
    assert distro.console().endswith("toyix\n")


# A hit


def test_a_hit_takes_no_trap(distro: Running) -> None:
    """FTR-01, FTR-03: IF stays as it was, and the handler runs in no NMI-like context."""
    contexts: list[int] = []
    count = distro.kernel.percpu_address("__preempt_count", 0) & (1 << 64) - 1

    def note(_: Kprobe, regs: PtRegs) -> int:
        contexts.append(distro.word(count) & 0xFFFF_FFFF)
        assert regs.flags & IF
        return 0

    distro.register(Kprobe(symbol_name="vfs_read", pre_handler=note))
    distro.run()
    assert contexts and set(contexts) == {0}
    assert 3 not in {event.fields["vector"] for event in distro.events("trap")}
    assert {event.fields["by"] for event in distro.events("kprobe.hit")} == {"ftrace"}
    assert distro.console().endswith("toyix\n")


def test_the_handler_sees_what_an_int3_would_have_shown(distro: Running) -> None:
    """FTR-02: ip = A + 1, sp at the return address, all registers as at the entry."""
    spy = Spy()
    distro.register(Kprobe(symbol_name="vfs_read", pre_handler=spy.pre()))
    distro.timeline.run(stop_kinds=["kprobe.hit"])
    here = distro.machine.moment.insn
    address = distro.symbol("vfs_read")
    while distro.machine.registers()["rip"] != address:
        here -= 1
        distro.timeline.seek(Moment(here))
    cpu = distro.machine.registers()
    returns_to = distro.word(cpu["rsp"])
    spy.calls.clear()
    distro.timeline.run(stop_kinds=["kprobe.pre_handler"])
    regs = spy.calls[0][1]
    names = {"sp": "rsp", "bp": "rbp", "ax": "rax", "bx": "rbx", "cx": "rcx", "dx": "rdx", "si": "rsi", "di": "rdi"}
    for name in (*names, *(f"r{number}" for number in range(8, 16))):
        assert regs[name] == cpu[names.get(name, name)], name
    assert regs["ip"] == address + 1
    assert regs["flags"] == cpu["rflags"]
    assert distro.kernel.kallsyms.symbolize(returns_to).startswith("ksys_read+")


def test_the_post_handler_sees_the_nop_as_run(distro: Running) -> None:
    """FTR-02: ip = A + 5, and there the function goes on; a change of ip with the answer 0 is lost."""
    spy = Spy()
    address = distro.symbol("vfs_read")
    distro.register(Kprobe(symbol_name="vfs_read", pre_handler=spy.pre(ip=0x1234), post_handler=spy.post(ip=0x1234)))
    distro.run()
    assert spy.names[:2] == ["pre", "post"]
    assert spy.calls[1][1]["ip"] == address + 5
    assert distro.console().endswith("toyix\n")


def test_a_non_zero_answer_leaves_ip_to_the_handler(distro: Running) -> None:
    """FTR-02: the function returns at once with what the handler put into rax; no post_handler runs."""
    spy = Spy()

    def override(_: Kprobe, regs: PtRegs) -> int:
        regs.ax, regs.ip = (1 << 64) - 2, distro.symbol("just_return_func")
        return 1

    distro.register(Kprobe(symbol_name="do_sys_openat2", pre_handler=override, post_handler=spy.post()))
    distro.run()
    assert "No such file or directory" in distro.console()
    assert not spy.calls


def test_the_answer_of_an_only_child_is_told_as_one_as_well(distro: Running) -> None:
    """AGG-02: for an aggregator, also one that has but a single probe left, each answer but zero is 1."""

    def override(_: Kprobe, regs: PtRegs) -> int:
        regs.ax, regs.ip = (1 << 64) - 2, distro.symbol("just_return_func")
        return 5

    distro.register(Kprobe(symbol_name="do_sys_openat2", pre_handler=override))
    other = distro.register(Kprobe(symbol_name="do_sys_openat2", pre_handler=Spy().pre()))
    distro.unregister(other)
    distro.run()
    assert {event.fields["ret"] for event in distro.events("kprobe.pre_handler")} == {1}


def test_a_changed_argument_takes_effect(distro: Running) -> None:
    """INT-13 holds for ftrace."""
    results = Spy()
    distro.register(Kretprobe(Kprobe(symbol_name="vfs_read"), handler=results.returned()))
    distro.register(Kprobe(symbol_name="vfs_read", pre_handler=Spy().pre(dx=3)))
    distro.run()
    assert [regs["ax"] for _, regs in results.calls][-3:] == [3, 3, 0]
    assert distro.console().endswith("toyix\n")


def test_while_the_handler_runs_its_probe_is_current(distro: Running) -> None:
    """FTR-03: status HIT_ACTIVE, then HIT_SSDONE for the post_handler, then none; the guest's variable follows."""
    block = distro.kprobes.ctlblk[0]
    place = distro.kernel.percpu_address("current_kprobe", 0) & (1 << 64) - 1
    seen: list[tuple[object, KprobeStatus, int]] = []

    def note(*_: object) -> int:
        seen.append((block.current, block.status, distro.word(place)))
        return 0

    def note_after(*_: object) -> None:
        note()

    probe = distro.register(Kprobe(symbol_name="vfs_read", pre_handler=note, post_handler=note_after))
    distro.run()
    assert seen[:2] == [(probe, KprobeStatus.HIT_ACTIVE, probe.addr), (probe, KprobeStatus.HIT_SSDONE, probe.addr)]
    assert (block.current, block.status, distro.word(place)) == (None, KprobeStatus.NONE, 0)


def test_a_hit_while_another_probe_is_handled_is_missed(distro: Running) -> None:
    """FTR-03, REE-05, AGG-05: the handler cannot call the guest's code, so the call comes from its side."""
    inner = [Kprobe(symbol_name="vfs_write", pre_handler=Spy().pre()) for _ in range(2)]
    for probe in inner:
        distro.register(probe)
    cpu = distro.machine.cpus[0]

    def handler(_: Kprobe, regs: PtRegs) -> int:
        distro.kprobes.on_ftrace.kprobe_ftrace_handler(cpu, inner[0].addr or 0, 0, regs.address)
        return 0

    distro.register(Kprobe(symbol_name="vfs_read", offset=5, pre_handler=handler))
    distro.timeline.run(stop_kinds=["kprobe.singlestep"])
    assert [probe.nmissed for probe in inner] == [1, 1]


def test_recursion_into_ftrace_is_ignored_without_a_count(distro: Running) -> None:
    """FTR-03: the lock is asked first."""
    inner = distro.register(Kprobe(symbol_name="vfs_write", pre_handler=Spy().pre()))
    cpu = distro.machine.cpus[0]

    def handler(_: Kprobe, regs: PtRegs) -> int:
        distro.kprobes.on_ftrace.kprobe_ftrace_handler(cpu, inner.addr or 0, 0, regs.address)
        return 0

    distro.register(Kprobe(symbol_name="vfs_read", pre_handler=handler))
    distro.timeline.run(stop_kinds=["kprobe.pre_handler"])
    assert inner.nmissed == 0


# Enabling, several at one entry


def test_a_disabled_probe_leaves_the_nop(distro: Running) -> None:
    """FTR-03, REG-24."""
    probe = distro.register(Kprobe(symbol_name="vfs_read", disabled=True))
    assert entry(distro) == NOP5
    distro.timeline.input("enable", lambda: distro.kprobes.enable_kprobe(probe))
    assert entry(distro)[0] == CALL
    distro.timeline.input("disable", lambda: distro.kprobes.disable_kprobe(probe))
    assert entry(distro) == NOP5
    distro.run()
    assert not distro.events("kprobe.hit")


def test_several_probes_at_an_entry_share_its_call(distro: Running) -> None:
    """AGG-01, AGG-02: the latest registered runs first; the call stays until the last is gone."""
    spy = Spy()
    first, second = (distro.register(Kprobe(symbol_name="vfs_read", pre_handler=spy.pre(n))) for n in ("a", "b"))
    assert first.flags & second.flags & KprobeFlag.FTRACE
    distro.run()
    assert spy.names[:2] == ["b", "a"]
    distro.unregister(second)
    assert entry(distro)[0] == CALL
    distro.unregister(first)
    assert entry(distro) == NOP5


def test_the_global_switch_makes_nops_of_all_calls(distro: Running) -> None:
    """REG-25."""
    distro.register(Kprobe(symbol_name="vfs_read"))
    distro.register(Kprobe(symbol_name="vfs_write"))
    distro.kprobes.arm_all_kprobes(False)
    assert (entry(distro), entry(distro, "vfs_write")) == (NOP5, NOP5)
    distro.kprobes.arm_all_kprobes(True)
    assert (entry(distro)[0], entry(distro, "vfs_write")[0]) == (CALL, CALL)


# Where


@pytest.mark.parametrize("offset", [1, 2, 3, 4])
@pytest.mark.parametrize("armed", [False, True])
def test_inside_the_nop_is_no_instruction_boundary(distro: Running, offset: int, armed: bool) -> None:
    """FTR-05: also when it is a call just now."""
    if armed:
        distro.register(Kprobe(symbol_name="vfs_read"))
    assert refusal(distro, Kprobe(symbol_name="vfs_read", offset=offset)) is Errno.EILSEQ


def test_behind_the_nop_a_probe_is_an_int3_as_ever(distro: Running) -> None:
    """REG-13: the boundary check sees the nop and not the call."""
    spy = Spy()
    distro.register(Kprobe(symbol_name="vfs_read", pre_handler=spy.pre("entry")))
    inner = distro.register(Kprobe(symbol_name="vfs_read", offset=5, pre_handler=spy.pre("behind")))
    assert inner.ainsn is not None and not inner.flags & KprobeFlag.FTRACE
    assert distro.byte(distro.symbol("vfs_read") + 5) == INT3
    distro.run()
    assert spy.names[:2] == ["entry", "behind"]


def test_a_function_without_a_nop_is_probed_by_int3(distro: Running) -> None:
    """FTR-01: ftrace_location() decides, and nothing else."""
    probe = distro.register(Kprobe(symbol_name="__switch_to_asm"))
    assert not probe.flags & KprobeFlag.FTRACE
    assert distro.byte(distro.symbol("__switch_to_asm")) == INT3


def test_a_kernel_whose_kprobes_cannot_use_ftrace_refuses_its_sites(boot_toyix: Callable[..., Running]) -> None:
    """REG-05."""
    running = boot_toyix(variant="distro", config=KprobeConfig())
    assert refusal(running, Kprobe(symbol_name="vfs_read")) is Errno.EINVAL
    running.register(Kprobe(symbol_name="vfs_read", offset=5))


# Other users of ftrace


def livepatch(running: Running) -> FtraceOps:
    """Somebody else who wants to change where vfs_read goes on."""
    ops = FtraceOps("livepatch", "fprobe_handler", lambda *_: 0, ipmodify=True)
    running.kprobes.ftrace.ftrace_set_filter_ips(ops, [running.symbol("vfs_read")])
    running.kprobes.ftrace.register_ftrace_function(ops)
    return ops


def test_only_one_user_may_change_where_a_function_goes_on(distro: Running) -> None:
    """FTR-04, REG-20: a probe with a post_handler asks for that right; one that cannot be armed is not registered."""
    ops = livepatch(distro)
    refused = Kprobe(symbol_name="vfs_read", post_handler=Spy().post())
    assert refusal(distro, refused) is Errno.EBUSY
    assert refused.addr is None
    plain = distro.register(Kprobe(symbol_name="vfs_read"))
    assert distro.kprobes.is_armed(plain)
    distro.unregister(plain)
    distro.kprobes.ftrace.unregister_ftrace_function(ops)
    distro.register(refused)
    assert distro.kprobes.is_armed(refused)


def test_a_probe_that_cannot_be_armed_stays_disabled(distro: Running) -> None:
    """FTR-04, REG-24."""
    probe = distro.register(Kprobe(symbol_name="vfs_read", post_handler=Spy().post(), disabled=True))
    livepatch(distro)
    with pytest.raises(LinuxError) as caught:
        distro.kprobes.enable_kprobe(probe)
    assert caught.value.errno is Errno.EBUSY
    assert probe.is_disabled


def test_a_function_of_several_users_calls_the_one_that_asks_them_all(distro: Running) -> None:
    """FTR-01: ftrace_regs_caller and its list function; with one user left, that one's trampoline again."""
    spy = Spy()
    distro.register(Kprobe(symbol_name="vfs_read", pre_handler=spy.pre("kprobe")))
    calls: list[int] = []

    def called(cpu: VCpu, ip: int, parent_ip: int, regs: int) -> int:
        calls.append(ip)
        return 0

    ops = FtraceOps("other", "fprobe_handler", called)

    def hook() -> None:
        distro.kprobes.ftrace.ftrace_set_filter_ips(ops, [distro.symbol("vfs_read")])
        distro.kprobes.ftrace.register_ftrace_function(ops)

    distro.timeline.input("hook", hook)
    assert target(distro) == "ftrace_regs_caller+0x0"
    distro.run()
    assert calls == [distro.symbol("vfs_read")] * len(spy.calls)
    distro.kprobes.ftrace.unregister_ftrace_function(ops)
    assert target(distro) == "ftrace_trampoline+0x0"


def test_ftrace_hooks_nothing_but_its_sites(distro: Running) -> None:
    ops = FtraceOps("other", "fprobe_handler", lambda *_: 0)
    with pytest.raises(LinuxError) as caught:
        distro.kprobes.ftrace.ftrace_set_filter_ips(ops, [distro.symbol("vfs_read") + 5])
    assert caught.value.errno is Errno.EINVAL
    assert not ops.sites
    with pytest.raises(LinuxError) as caught:
        distro.kprobes.ftrace.unregister_ftrace_function(ops)
    assert caught.value.errno is Errno.EBUSY


# Return probes, and time


def test_a_return_probe_at_a_traced_entry_takes_no_trap_either(distro: Running) -> None:
    """KRP-03, KRP-04 by ftrace."""
    spy = Spy()
    probe = Kretprobe(Kprobe(symbol_name="vfs_read"), handler=spy.returned())
    distro.register(probe)
    distro.run()
    assert probe.kp.flags & KprobeFlag.FTRACE
    assert [regs["ax"] for _, regs in spy.calls][-2:] == [6, 0]
    assert 3 not in {event.fields["vector"] for event in distro.events("trap")}
    assert distro.console().endswith("toyix\n")


def test_going_back_before_the_registration_gives_the_nop_back(distro: Running) -> None:
    start = distro.machine.moment
    distro.register(Kprobe(symbol_name="vfs_read", pre_handler=Spy().pre()))
    distro.run()
    log, state, text = list(distro.machine.log), distro.manager.save(), distro.text()
    distro.timeline.seek(start)
    assert entry(distro) == NOP5
    assert not list(distro.kprobes)
    for event in log[:: max(1, len(log) // 40)]:
        distro.timeline.seek(event.moment)
        assert distro.machine.seq == event.seq + 1
    distro.timeline.seek_end()
    assert list(distro.machine.log) == log
    assert (distro.manager.save(), distro.text()) == (state, text)
