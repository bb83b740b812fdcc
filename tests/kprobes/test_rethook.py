"""Return probes: the return address on the stack is exchanged, and the trampoline gives it back."""

import re
from collections.abc import Callable

import pytest

from kprobesim.errors import GuestError, LinuxError
from kprobesim.kprobes import Kprobe, Kretprobe, PtRegs, RethookNode, arch_stack_walk
from kprobesim.kprobes.shadow_stack import Rethook
from kprobesim.linux_errno import Errno
from kprobesim.machine import Moment
from tests.kprobes.running import Running, Spy

COMMAND = b"cat /etc/hostname\n"


def typed(running: Running) -> Running:
    running.timeline.input("type", lambda: running.machine.devices.type(COMMAND))
    return running


def on(symbol: str, **options: object) -> Kretprobe:
    return Kretprobe(Kprobe(symbol_name=symbol), **options)  # type: ignore[arg-type]


def test_a_return_is_seen_with_the_return_value_and_the_callers_address(toyix: Running) -> None:
    """KRP-03, KRP-04: one trap at the entry, none at the return."""
    spy = Spy()
    toyix.register(on("vfs_read", handler=spy.returned()))
    typed(toyix).timeline.run(stop_kinds=["rethook.prepare"])
    prepared = toyix.machine.log[toyix.machine.seq - 1].fields
    trampoline = toyix.symbol("arch_rethook_trampoline")
    assert toyix.word(prepared["slot"]) == trampoline
    assert toyix.kernel.kallsyms.symbolize(prepared["ret_addr"]).startswith("ksys_read+")
    task = toyix.kernel.current(0).address
    assert [node.ret_addr for node in toyix.manager.rethooks.nodes(task)] == [prepared["ret_addr"]]
    assert toyix.manager.rethooks.rethook_find_ret_addr(task, prepared["slot"]) == prepared["ret_addr"]
    toyix.timeline.run(stop_kinds=["rethook.handler"])
    regs = spy.calls[-1][1]
    assert (regs["ip"], regs["ax"]) == (prepared["ret_addr"], len(COMMAND))
    toyix.timeline.seek(Moment(toyix.machine.moment.insn + 1))
    assert toyix.manager.rethooks.nodes(task) == ()
    toyix.run()
    assert toyix.console().endswith("toyix\n")


def test_the_trampoline_is_plain_code_and_no_probe(toyix: Running) -> None:
    """KRP-04: no traps but those of the entry, where the probe is stepped as any other; one read still waits."""
    probe = on("vfs_read", handler=Spy().returned())
    toyix.register(probe)
    typed(toyix).run()
    entries = len(toyix.events("rethook.prepare"))
    breakpoints = [event for event in toyix.events("trap") if event.fields["vector"] == 3]
    assert len(breakpoints) == 2 * entries
    assert len(toyix.events("rethook.handler")) == entries - 1
    assert probe.free == probe.maxactive - 1


def test_the_handler_can_change_what_the_caller_sees(toyix: Running) -> None:
    """KRP-07."""
    enoent = (1 << 64) - 2
    toyix.register(on("do_sys_openat2", handler=Spy().returned(ax=enoent)))
    typed(toyix).run()
    assert "No such file or directory" in toyix.console()


def test_the_handler_runs_as_the_probe_that_is_current(toyix: Running) -> None:
    """KRP-07, REE-06: what is hit meanwhile is a miss."""
    seen: list[object] = []
    block = toyix.kprobes.ctlblk[0]
    probe = on("vfs_read", handler=lambda *_: seen.append((block.current, block.status.name)))
    toyix.register(probe)
    typed(toyix).timeline.run(stop_kinds=["rethook.handler"])
    assert seen[-1] == (probe.kp, "HIT_ACTIVE")
    toyix.timeline.seek(Moment(toyix.machine.moment.insn + 1))
    assert block.current is None


def test_a_probe_hit_while_a_return_handler_runs_is_missed(toyix: Running) -> None:
    """REE-06: the handler cannot call the guest's code, so the trap comes from its side."""
    inner = toyix.register(Kprobe(symbol_name="vfs_write"))
    cpu = toyix.machine.cpus[0]

    def handler(_: RethookNode, regs: PtRegs) -> None:
        saved = regs.ip
        regs.ip = (inner.addr or 0) + 1
        assert toyix.manager.int3.kprobe_int3_handler(cpu, regs.address, 0, 0) == 1
        regs.ip = saved
        toyix.kprobes.ctlblk[0].current = None

    toyix.register(on("vfs_read", handler=handler))
    typed(toyix).timeline.run(stop_kinds=["kprobe.miss"])
    assert inner.nmissed == 1


def test_an_entry_handlers_no_leaves_the_return_alone(toyix: Running) -> None:
    """KRP-02: nothing is hooked and nothing missed."""
    spy = Spy()
    probe = on("vfs_read", handler=spy.returned(), entry_handler=lambda *_: 1)
    toyix.register(probe)
    typed(toyix).run()
    assert not spy.calls
    assert toyix.events("kprobe.hit")
    assert not toyix.events("rethook.prepare")
    assert (probe.nmissed, probe.free) == (0, probe.maxactive)


def test_an_entry_handler_leaves_something_for_the_return(toyix: Running) -> None:
    """KRP-04: the node of the call."""
    sizes: list[tuple[int, int]] = []

    def enter(node: RethookNode, regs: PtRegs) -> int:
        node.data = regs.dx
        return 0

    toyix.register(on("vfs_read", entry_handler=enter, handler=lambda node, regs: sizes.append((node.data, regs.ax))))
    typed(toyix).run()
    assert all(0 <= got <= asked for asked, got in sizes)
    assert sizes


def test_without_a_node_the_call_is_missed_and_its_stack_untouched(toyix: Running) -> None:
    """KRP-01, KRP-11: the entry_handler is not asked either."""
    asked: list[int] = []
    probe = on("do_sys_openat2", maxactive=1, entry_handler=lambda *_: asked.append(1) or 0)  # type: ignore[func-returns-value]
    toyix.register(probe)
    typed(toyix)
    toyix.timeline.run(stop_kinds=["rethook.prepare"])
    regs = toyix.machine.registers()["rdi"]
    before = len(asked)
    handled = probe.kp.pre_handler
    assert handled is not None
    view = PtRegs(toyix.machine.ram, toyix.kernel.root, regs, 0)
    word = toyix.word(view.sp)
    assert handled(probe.kp, view) == 0
    assert (probe.nmissed, len(asked), toyix.word(view.sp)) == (1, before, word)


def test_several_return_probes_on_one_function_pass_the_trampoline_once(toyix: Running) -> None:
    """KRP-05: the one that was hooked last comes first, and that is the one registered first (AGG-02)."""
    spy = Spy()
    for name in ("a", "b", "c"):
        toyix.register(on("vfs_read", handler=spy.returned(name)))
    typed(toyix).run()
    assert spy.names[:3] == ["a", "b", "c"]
    assert len({regs["ip"] for _, regs in spy.calls[:3]}) == 1
    prepared = [event.fields["ret_addr"] for event in toyix.events("rethook.prepare")][:3]
    assert prepared[1:] == [toyix.symbol("arch_rethook_trampoline")] * 2
    assert toyix.console().endswith("toyix\n")


def test_nested_calls_return_in_their_order(toyix: Running) -> None:
    """KRP-04."""
    spy = Spy()
    for symbol in ("ksys_read", "vfs_read"):
        toyix.register(on(symbol, handler=spy.returned(symbol)))
    typed(toyix).run()
    assert spy.names[:4] == ["vfs_read", "ksys_read"] * 2


def test_a_return_without_a_known_address_is_fatal(toyix: Running) -> None:
    """KRP-06."""
    toyix.register(on("vfs_read"))
    typed(toyix).timeline.run(stop_kinds=["rethook.prepare"])
    moment = toyix.machine.moment.insn + 1
    toyix.timeline.seek(Moment(moment))
    toyix.timeline.input("lose it", lambda: toyix.manager.rethooks.rethook_flush_task(toyix.kernel.current(0).address))
    with pytest.raises(GuestError, match="Return address not found"):
        toyix.run()


def test_a_frame_that_is_not_the_awaited_one_is_warned_of_and_its_handlers_are_skipped(toyix: Running) -> None:
    """KRP-06: the list says another place of the stack; the saved address is still gone on at."""
    spy = Spy()
    probe = on("vfs_read", handler=spy.returned())
    toyix.register(probe)
    typed(toyix).timeline.run(stop_kinds=["rethook.prepare"])
    toyix.timeline.seek(Moment(toyix.machine.moment.insn + 1))
    task = toyix.kernel.current(0).address

    def corrupt() -> None:
        toyix.manager.rethooks.nodes(task)[0].frame += 16

    seen = len(spy.calls)
    toyix.timeline.input("corrupt", corrupt)
    toyix.timeline.run(stop_kinds=["rethook.warn"])
    fields = toyix.machine.log[toyix.machine.seq - 1].fields
    assert fields["expected"] == fields["frame"] + 16
    assert toyix.kernel.kallsyms.symbolize(fields["ret_addr"]).startswith("ksys_read+")
    assert len(spy.calls) == seen
    toyix.run()
    assert toyix.console().endswith("toyix\n")
    assert probe.free == probe.maxactive - 1, "one read waits for input"


def test_nodes_of_calls_from_before_a_removal_do_not_come_back_to_the_new_registration(toyix: Running) -> None:
    """KRP-09: each registration has its own nodes; the old call returns untold."""
    spy = Spy()
    probe = on("vfs_read", handler=spy.returned(), maxactive=1)
    toyix.register(probe)
    typed(toyix).timeline.run(stop_kinds=["rethook.prepare"])
    olds: list[Rethook | None] = []

    def again() -> None:
        olds.append(probe.rethook)
        toyix.manager.rethooks.unregister_kretprobe(probe)
        toyix.manager.rethooks.register_kretprobe(probe)

    toyix.timeline.input("again", again)
    old = olds[-1]
    assert probe.rethook is not old and probe.free == 1
    before = toyix.machine.seq
    toyix.run()
    assert old is not None and (old.free, old.stopped) == (0, True)
    events = [event for event in toyix.events("rethook.prepare", "rethook.handler") if event.seq >= before]
    assert [event.kind for event in events][:2] == ["rethook.prepare", "rethook.handler"]
    assert len([event for event in events if event.kind == "rethook.handler"]) == len(events) // 2
    assert probe.free == 0, "the read that waits for input has the only node"
    assert toyix.console().endswith("toyix\n")


# Stack traces


def trace(running: Running, regs: PtRegs) -> list[str]:
    """The functions of a stack trace from a handler, the innermost first."""
    task = running.kernel.current(regs.cpu).address
    found = arch_stack_walk(running.kernel, running.manager.rethooks, task=task, ip=regs.ip, bp=regs.bp)
    return [running.kernel.kallsyms.symbolize(address).partition("+")[0] for address in found]


def test_a_stack_trace_is_the_same_with_the_returns_probed(boot_toyix: Callable[..., Running]) -> None:
    """KRP-10: from the middle of a function whose callers' returns are all hooked, one of them twice."""
    traces: list[list[list[str]]] = []
    for hooked in ([], ["vfs_read", "ksys_read", "ksys_read", "__x64_sys_read"]):
        running = boot_toyix(commands=["cat /etc/hostname"])
        seen: list[list[str]] = []

        def note(_: Kprobe, regs: PtRegs, running: Running = running, seen: list[list[str]] = seen) -> int:
            seen.append(trace(running, regs))
            return 0

        for symbol in hooked:
            running.register(on(symbol, handler=Spy().returned()))
        running.register(Kprobe(symbol_name="generic_file_read_iter", offset=4, pre_handler=note))
        running.run()
        traces.append(seen)
    assert traces[0] == traces[1]
    read = next(names for names in traces[1] if "vfs_read" in names)
    assert read[read.index("vfs_read") :][:3] == ["vfs_read", "ksys_read", "__x64_sys_read"]


def test_in_a_return_handler_the_trace_is_still_whole(toyix: Running) -> None:
    """KRP-10: nodes are unlinked only after the handlers."""
    seen: list[list[str]] = []
    toyix.register(on("ksys_read"))
    toyix.register(on("vfs_read", handler=lambda _, regs: seen.append(trace(toyix, regs))))
    typed(toyix).run()
    assert seen and "arch_rethook_trampoline" not in {name for names in seen for name in names}


def test_the_kernels_own_stack_trace_asks_for_the_real_address(toyix: Running) -> None:
    """KRP-10: toyix prints the callers of a function that oopses, and not the trampoline."""
    toyix.register(on("vfs_open", handler=Spy().returned()))

    def crash(_: Kprobe, regs: PtRegs) -> int:
        if toyix.kernel.current(0).name == "cat":
            regs.di = 8
        return 0

    toyix.register(Kprobe(symbol_name="vfs_open", offset=4, pre_handler=crash))
    typed(toyix).run()
    console = toyix.console()
    assert "NULL pointer dereference" in console
    addresses = [int(word, 16) for word in re.findall(r"\[<([0-9a-f]{16})>\]", console)]
    names = [toyix.kernel.kallsyms.symbolize(address).partition("+")[0] for address in addresses]
    assert "do_open" in names
    assert "arch_rethook_trampoline" not in names


def test_calls_under_way_return_silently_after_the_probe_is_gone(toyix: Running) -> None:
    """KRP-09."""
    spy = Spy()
    probe = on("vfs_read", handler=spy.returned())
    toyix.register(probe)
    typed(toyix).timeline.run(stop_kinds=["rethook.prepare"])
    toyix.timeline.input("remove", lambda: toyix.manager.rethooks.unregister_kretprobe(probe))
    toyix.run()
    assert not spy.calls
    assert toyix.console().endswith("toyix\n")


def test_a_function_that_never_returns_keeps_its_node_as_long_as_its_task_lives(toyix: Running) -> None:
    """KRP-08."""
    probe = on("do_exit")
    toyix.register(probe)
    typed(toyix).timeline.run(stop_kinds=["rethook.prepare"])
    assert probe.free == probe.maxactive - 1
    toyix.run()
    assert probe.free == probe.maxactive
    assert not toyix.events("rethook.handler")


@pytest.mark.parametrize(
    ("probe", "errno"),
    [
        (Kretprobe(Kprobe(symbol_name="vfs_read", offset=5)), Errno.EINVAL),
        (Kretprobe(Kprobe(symbol_name="nowhere")), Errno.ENOENT),
        (Kretprobe(Kprobe(address=0x1000)), Errno.ENOENT),
        (Kretprobe(Kprobe(symbol_name="__switch_to")), Errno.EINVAL),
        (Kretprobe(Kprobe(symbol_name="vfs_read"), data_size=4097), Errno.E2BIG),
    ],
    ids=["inside", "unknown", "nowhere", "__switch_to", "too much data"],
)
def test_what_cannot_have_its_return_probed(toyix: Running, probe: Kretprobe, errno: Errno) -> None:
    """REG-27."""
    with pytest.raises(LinuxError) as caught:
        toyix.manager.rethooks.register_kretprobe(probe)
    assert caught.value.errno is errno


def test_registering_a_return_probe_twice_changes_nothing(toyix: Running) -> None:
    """REG-03 for return probes."""
    spy = Spy()
    probe = on("vfs_read", handler=spy.returned())
    toyix.register(probe)
    with pytest.raises(LinuxError) as caught:
        toyix.manager.rethooks.register_kretprobe(probe)
    assert caught.value.errno is Errno.EINVAL
    typed(toyix).run()
    assert spy.calls


@pytest.mark.parametrize("cpus", [1, 8])
def test_the_default_number_of_nodes_is_written_back(cpus: int, boot_toyix: Callable[..., Running]) -> None:
    """REG-27, KRP-11; a post_handler is dropped."""
    running = boot_toyix(cpus=cpus)
    probe = Kretprobe(Kprobe(symbol_name="vfs_read", post_handler=Spy().post()))
    running.register(probe)
    assert probe.maxactive == max(10, 2 * cpus)
    assert probe.kp.post_handler is None


def test_going_back_restores_the_awaited_calls(toyix: Running) -> None:
    toyix.register(on("vfs_read", handler=Spy().returned()))
    typed(toyix).timeline.run(stop_kinds=["rethook.prepare"])
    place, task = toyix.machine.moment, toyix.kernel.current(0).address

    def awaited() -> list[tuple[Kretprobe, int, int]]:
        return [(node.owner, node.ret_addr, node.frame) for node in toyix.manager.rethooks.nodes(task)]

    state = awaited()
    toyix.timeline.run(stop_kinds=["rethook.handler"])
    assert awaited() == state, "a handler can still ask for a stack trace"
    toyix.timeline.seek(Moment(toyix.machine.moment.insn + 1))
    assert awaited() == []
    toyix.timeline.seek(place)
    assert awaited() == state
    assert len(state) == 1
