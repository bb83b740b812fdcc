"""Code of several bytes changes in three stages, while other CPUs run it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.image import KernelImage, open_image
from kprobesim.kprobes import Kprobe, KprobeConfig, PtRegs
from kprobesim.kprobes.poke_int3 import emulate_new_instruction, text_poke_loc
from kprobesim.machine import Event, Moment, Stop
from tests.guests.kernel import HandMadeKernel
from tests.kprobes.running import Running, Spy

NOP5 = bytes.fromhex("0f1f440000")
CALLS = 3_000
HOT = ("ksys_read", "vfs_read", "ksys_write", "vfs_write")


def nops_then_ret() -> KernelImage:
    kernel = HandMadeKernel()
    kernel.code.op("cli", "hlt")
    kernel.function("probed").raw(NOP5.hex()).raw("6690").op("nop", "ret")
    return kernel.image()


def resting(image: KernelImage | None = None) -> Running:
    return Running(image or nops_then_ret(), ram_size=2 << 20)


def busy(cpus: int, config: KprobeConfig | None = None) -> Running:
    """A kernel each of whose CPUs reads and writes all the time."""
    command = f"dd if=/dev/zero of=/dev/null bs=1 count={CALLS} status=none &"
    return Running(open_image("toyix", variant="bare"), cpus=cpus, config=config, commands=[command] * cpus)


def poked(running: Running) -> list[tuple[int | None, bytes]]:
    """Stage and bytes of ``probed`` at each write."""
    seen = []
    for event in running.events("text.poke"):
        running.timeline.seek(event.moment)
        seen.append((event.fields.get("stage"), running.kernel.read(running.symbol("probed"), 5)))
    running.timeline.seek_end()
    return seen


# The stages


def test_an_instruction_is_replaced_behind_an_int3_tail_first() -> None:
    """TXT-05: CC old, CC new, new new; each is seen by all CPUs before the next."""
    running = resting()
    place, jump = running.symbol("probed"), b"\xe9\x10\x00\x00\x00"
    running.timeline.input("poke", lambda: running.manager.text.text_poke_bp(place, jump))
    assert poked(running) == [(1, b"\xcc" + NOP5[1:]), (2, b"\xcc" + jump[1:]), (3, jump)]
    assert [event.fields["stage"] for event in running.events("text.sync")] == [1, 2, 3]


def test_nothing_is_written_nor_synced_in_a_stage_without_bytes() -> None:
    """TXT-05: one byte has no tail; an int3 that stays has no last stage."""
    running = resting()
    place = running.symbol("probed")
    running.timeline.input("ret", lambda: running.manager.text.text_poke_bp(place + 8, b"\xc3"))
    assert [event.fields["stage"] for event in running.events("text.poke", "text.sync")] == [1, 1, 3, 3]
    running.timeline.input("int3", lambda: running.manager.text.text_poke_bp(place + 8, b"\xcc"))
    assert [event.fields["stage"] for event in running.events("text.poke", "text.sync")[4:]] == [1, 1]


def test_a_batch_goes_through_each_stage_as_one() -> None:
    """text_poke_queue, text_poke_finish: three syncs, however many places."""
    running = resting()
    place, text = running.symbol("probed"), running.manager.text

    def batch() -> None:
        text.text_poke_queue(place, b"\xe9\x10\x00\x00\x00")
        text.text_poke_queue(place + 5, b"\xeb\x00")
        text.text_poke_finish()

    running.timeline.input("batch", batch)
    assert [event.fields["stage"] for event in running.events("text.poke")] == [1, 1, 2, 2, 3, 3]
    assert len(running.events("text.sync")) == 3
    assert running.kernel.read(place, 7) == b"\xe9\x10\x00\x00\x00\xeb\x00"


def test_a_batch_whose_addresses_do_not_ascend_is_patched_in_parts() -> None:
    """tp_order_fail: the look-up relies on the order."""
    running = resting()
    place, text = running.symbol("probed"), running.manager.text

    def batch() -> None:
        text.text_poke_queue(place + 5, b"\xeb\x00")
        text.text_poke_queue(place, b"\xe9\x10\x00\x00\x00")
        text.text_poke_finish()

    running.timeline.input("batch", batch)
    assert [event.fields["stage"] for event in running.events("text.poke")] == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("opcode", ["90", "4889e5", "ffe0", "06", "c20800", "e9000000", "0f1f4000"])
def test_what_could_not_be_emulated_cannot_be_poked(opcode: str) -> None:
    """TXT-08: a BUG in Linux."""
    with pytest.raises(ValueError, match=r"cannot be emulated|is not an instruction|is not as long"):
        resting().manager.text.text_poke_bp(0xFFFF_FFFF_8100_0000, bytes.fromhex(opcode))


# The CPU that meets the int3


@pytest.mark.parametrize(
    ("opcode", "flags", "moved"),
    [
        ("e910000000", 0, 0x15), ("eb10", 0, 0x12), ("0f1f440000", 0, 5), ("6690", 0, 2),
        ("7410", 0x40, 0x12), ("7410", 0, 2), ("0f8410000000", 0x40, 0x16), ("0f8510000000", 0x40, 6),
        ("e9f0ffffffcc", 0, -10),
    ],
)  # fmt: skip
def test_a_jump_and_a_nop_are_emulated_by_moving_ip(opcode: str, flags: int, moved: int) -> None:
    """TXT-06"""
    running, address = resting(), 0xFFFF_FFFF_8100_0000
    regs = running_regs(running, ip=address + 1, flags=flags)
    assert emulate_new_instruction(text_poke_loc(address, bytes.fromhex(opcode)), regs)
    assert regs.ip == address + moved


def running_regs(running: Running, **values: int) -> PtRegs:
    regs = PtRegs(running.machine.ram, running.kernel.root, 0x26000, 0)
    regs.sp = 0x27000
    for name, value in values.items():
        setattr(regs, name, value)
    return regs


def test_a_call_pushes_what_comes_after_it_and_a_return_pops() -> None:
    """TXT-06"""
    running, address = resting(), 0xFFFF_FFFF_8100_0000
    regs = running_regs(running, ip=address + 1)
    assert emulate_new_instruction(text_poke_loc(address, b"\xe8\x10\x00\x00\x00"), regs)
    assert (regs.ip, regs.sp, running.word(0x27000 - 8)) == (address + 0x15, 0x27000 - 8, address + 5)
    assert emulate_new_instruction(text_poke_loc(address, b"\xc3"), regs)
    assert (regs.ip, regs.sp) == (address + 5, 0x27000)


def test_an_int3_that_was_meant_is_passed_on_and_something_else_can_be_emulated() -> None:
    """TXT-06; a static branch that becomes a nop by way of another instruction uses ``emulate``."""
    running, address = resting(), 0xFFFF_FFFF_8100_0000
    regs = running_regs(running, ip=address + 1)
    assert not emulate_new_instruction(text_poke_loc(address, b"\xcc"), regs)
    assert emulate_new_instruction(text_poke_loc(address, b"\xcc\x11\x22\x33\x44", b"\xe9\x10\x00\x00\x00"), regs)
    assert regs.ip == address + 0x15


# Other CPUs in the window


def windows(running: Running) -> list[Event]:
    """What CPUs met while the patch was under way."""
    return running.events("text.emulate")


@pytest.mark.parametrize("cpus", [2, 4])
def test_other_cpus_run_into_the_window_and_go_on_as_with_the_new_instruction(cpus: int) -> None:
    """TXT-06, OPT-16: they land in the detour buffer, and every call is counted."""
    running = busy(cpus, KprobeConfig(optprobes=True))
    spy = Spy()
    probes = [running.register(Kprobe(symbol_name=name, pre_handler=spy.pre())) for name in HOT]
    assert running.run(80_000_000) is Stop.IDLE
    met = windows(running)
    assert len({event.cpu for event in met}) >= 2
    for event in met:
        site = running.kprobes.get_kprobe(event.fields["addr"])
        assert site is not None and site.optinsn is not None
        assert event.fields["ip"] == site.optinsn.insn
        assert event.fields["stage"] in (1, 2, 3)
    assert all(probe.nmissed == 0 for probe in probes)
    for name in HOT:
        hits = [event for event in running.events("kprobe.hit", "kprobe.opt_hit") if event.fields["symbol"] == name]
        assert len(hits) >= cpus * CALLS
    assert len(running.events("kprobe.hit", "kprobe.opt_hit")) == len(spy.calls)


@pytest.mark.parametrize("cpus", [2, 4])
def test_time_passes_between_the_stages_where_other_cpus_run(cpus: int) -> None:
    """TXT-04, TXT-05"""
    running = busy(cpus, KprobeConfig(optprobes=True))
    running.register(Kprobe(symbol_name="vfs_read"))
    running.timeline.run(80_000_000, stop_kinds=["kprobe.optimize"])
    staged = [event for event in running.events("text.poke") if "stage" in event.fields]
    syncs = running.events("text.sync")
    assert all(sync.ns - poke.ns >= 10_000 for poke, sync in zip(staged, syncs, strict=True))
    assert all(poke.ns == sync.ns for poke, sync in zip(staged[1:], syncs, strict=False))


def test_a_cpu_with_interrupts_off_is_waited_for() -> None:
    """TXT-04: whoever took the int3 has them off until the patch's handler is through with it."""
    running = busy(2, KprobeConfig(optprobes=True))
    for name in HOT:
        running.register(Kprobe(symbol_name=name))
    assert running.run(80_000_000) is Stop.IDLE
    assert windows(running)
    for met in windows(running):
        trapped = [event for event in running.events("trap") if event.seq < met.seq and event.cpu == met.cpu][-1]
        syncs = [sync for sync in running.events("text.sync") if trapped.seq < sync.seq < met.seq]
        assert not syncs


@pytest.mark.parametrize("cpus", [2, 4])
def test_a_life_with_others_in_the_window_is_the_same_on_every_way(cpus: int) -> None:
    running = busy(cpus, KprobeConfig(optprobes=True))
    running.register(Kprobe(symbol_name="vfs_read"))
    running.timeline.run(80_000_000, stop_kinds=["kprobe.optimize"])
    running.timeline.seek(Moment(running.machine.moment.insn + 1))
    events = [event for event in running.machine.log if event.kind.startswith("text.")]

    def state() -> tuple[object, ...]:
        registers = [running.machine.registers(cpu.number) for cpu in running.machine.cpus]
        return running.text(), running.manager.text.save(), registers, running.machine.seq

    forward = []
    for event in events:
        running.timeline.seek(event.moment)
        forward.append(state())
    backward = []
    for event in reversed(events):
        running.timeline.seek(event.moment)
        backward.append(state())
    assert forward == backward[::-1]


def test_a_caller_in_the_kernel_is_held_until_its_patch_is_complete() -> None:
    """A write(2) that patches code returns when the code is patched; the other CPUs go on meanwhile."""
    running = busy(2)
    stubs = {running.kernel.kallsyms.symbolize(at): number for at, number in running.kernel.tables.hypercalls}

    def patch(_: object, __: int, ___: int, ____: int) -> int:
        running.manager.text.text_poke_bp(running.symbol("just_return_func"), b"\xc3")
        return -2

    running.machine.devices.deferred[stubs["hostfs_lookup+0x0"]] = patch
    running.timeline.input("type", lambda: running.machine.devices.type(b"cat /proc/version\n"))
    running.timeline.run(80_000_000, stop_kinds=["text.poke"])
    caller = running.machine.current_cpu.number
    begun, held_at = running.machine.moment, running.machine.registers(caller)["rip"]
    assert running.machine.cpus[caller].held
    running.timeline.run(80_000_000, stop_kinds=["text.sync"])
    ended = running.machine.moment
    assert ended.insn - begun.insn >= 500
    assert running.machine.cpus[caller].held
    assert running.machine.registers(caller)["rip"] == held_at
    running.timeline.run(80_000_000, stop_kinds=["text.sync"])
    running.timeline.seek(Moment(running.machine.moment.insn + 1))
    assert not running.machine.cpus[caller].held
    assert running.run(80_000_000) is Stop.IDLE
    assert "No such file" in running.console()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 5, 7]), st.booleans()), min_size=1, max_size=6))
def test_whatever_is_queued_the_text_ends_as_the_last_patch_of_each_place(pokes: list[tuple[int, bool]]) -> None:
    running = resting()
    place, text = running.symbol("probed"), running.manager.text
    forms = {0: (NOP5, b"\xe9\x00\x00\x00\x00"), 5: (b"\x66\x90", b"\xeb\x00"), 7: (b"\xc3", b"\xcc")}
    expected = bytearray(running.kernel.read(place, 9))
    for offset, second in pokes:
        data = forms[offset][second]
        text.text_poke_queue(place + offset, data)
        expected[offset : offset + len(data)] = data
    text.text_poke_finish()
    assert running.kernel.read(place, 9) == bytes(expected)
    assert not text.busy
