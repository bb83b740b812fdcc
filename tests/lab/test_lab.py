"""The public API: open, do, run, look, at any moment."""

import functools

import pytest

from kprobesim.errors import BadInput, GuestError, ImageError, KprobesimError, LinuxError
from kprobesim.kprobes import Kprobe, PtRegs
from kprobesim.lab import EVENT_KINDS, Grain, Lab, Moment, Phase, Stop
from kprobesim.linux_errno import Errno
from tests.image.elf_writer import small_kernel
from tests.lab.experiment import by_pid, kinds_of, only, rested, rich, state_of


@functools.cache
def life() -> Lab:
    return rich()


# Opening


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kernel": "nosuch"}, "tiny, toyix"),
        ({"profile": "nosuch"}, "distro, bare, server, history"),
        ({"cpus": 0}, "1 to 8"),
        ({"cpus": 9}, "1 to 8"),
    ],
)
def test_what_cannot_be_opened_is_refused(arguments: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Lab.open(**arguments)  # type: ignore[arg-type]


def test_a_file_that_is_no_kernel_is_an_image_error() -> None:
    for path in ("/etc/passwd", "/nonexistent.elf", "/"):
        with pytest.raises(ImageError):
            Lab.open(path)


def test_a_kernel_that_never_comes_up_is_an_error(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kprobesim.lab.lab._BOOT_LIMIT", 1000)
    with pytest.raises(GuestError, match="did not come up") as caught:
        Lab.open()
    assert "rip" in caught.value.report


def test_every_cpu_count_boots_and_every_kernel_that_ships() -> None:
    for cpus in (1, 2, 4, 8):
        assert len(only(rested(cpus), "cpu.up")) == cpus - 1
    assert Lab.open("tiny").start > 0


def test_without_boot_the_machine_stands_before_its_first_instruction() -> None:
    lab = Lab.open(boot=False)
    assert (lab.moment, lab.event_count) == (Moment(0), 0)
    lab.boot()
    assert "boot.done" in kinds_of(lab.events())


def test_the_same_seed_gives_the_same_life_and_cpus_take_turns_by_it() -> None:
    lives = [rich(2, seed).events() for seed in (0, 0, 1)]
    assert lives[0] == lives[1] != lives[2]


# Probing


@pytest.mark.parametrize(
    ("where", "errno"),
    [
        ("nosuch", Errno.ENOENT),
        ("", Errno.ENOENT),
        ("vfs_read+2", Errno.EILSEQ),
        ("init_task", Errno.EINVAL),
        ("kprobe_int3_handler", Errno.EINVAL),
        ("asm_exc_int3", Errno.EINVAL),
        ("0", Errno.ENOENT),
        ("0xffffffffffffffffffff", Errno.ENOENT),
    ],
)
def test_places_that_linux_refuses_get_its_errno(where: str, errno: Errno) -> None:
    """REG-01, REG-04, REG-07, REG-13: and nothing has happened."""
    lab = life()
    lab.seek(lab.start)
    before, events = state_of(lab), lab.events()
    with pytest.raises(LinuxError) as caught:
        lab.kprobe(where)
    assert caught.value.errno is errno
    assert state_of(lab) == before
    assert lab.events() == events


@pytest.mark.parametrize("where", ["vfs_read+", "vfs_read+0x", "vfs_read+x", "0x", "1z", "vfs_read+" + "9" * 5000])
def test_places_that_cannot_be_read_are_bad_input(where: str) -> None:
    with pytest.raises(BadInput, match="not a place to probe"):
        life().kprobe(where)


def test_the_byte_is_changed_by_a_probe_and_restored_by_its_removal() -> None:
    lab = rested()
    address = lab.kernel.symbol("vfs_read")
    original = lab.read(address, 16)
    probe = lab.kprobe("vfs_read")
    assert lab.read(address, 16) == b"\xcc" + original[1:]
    line = lab.code(address)[0]
    assert line.patched and line.original == original[: len(line.original)] and "push" in line.text
    lab.unregister_kprobe(probe)
    assert lab.read(address, 16) == original
    assert not lab.code(address)[0].patched


def test_handlers_in_python_see_the_registers() -> None:
    lab = rested()
    seen: list[int] = []

    def look(probe: Kprobe, regs: PtRegs) -> int:
        seen.append(regs.ip)
        return 0

    lab.kprobe("vfs_read", pre_handler=look)
    lab.type("cat /etc/motd")
    lab.run(until=["kprobe.pre_handler"])
    assert seen == [lab.kernel.symbol("vfs_read") + 1]


# Running


def test_run_stops_at_kinds_of_events_and_knows_all_of_them() -> None:
    lab = life()
    lab.seek(lab.start)
    assert lab.run(until=["bpf.helper"]) is Stop.MOMENT
    assert lab.last_event is not None and lab.last_event.kind == "bpf.helper"
    with pytest.raises(BadInput, match=r"'nosuch'"):
        lab.run(until=["nosuch"])


@pytest.mark.parametrize("cuts", [[1] * 300, [7, 1000, 1, 40_000], [100_000]])
def test_run_goes_exactly_so_many_instructions(cuts: list[int]) -> None:
    lab = life()
    lab.seek(lab.start)
    for cut in cuts:
        assert lab.run(instructions=cut) is Stop.LIMIT
        assert lab.moment.insn == min(lab.moment.insn, lab.start + sum(cuts))
    assert lab.moment.insn == lab.start + sum(cuts)


def test_events_are_the_same_whatever_path_led_there() -> None:
    one, other = rich(), rested()
    beginning = other.moment.insn
    other.load_program(by_pid(), "by_pid")
    other.attach("by_pid", "vfs_read")
    other.load_program("r0 = *(u64 *)(r1 +80)\nexit", "result")
    other.attach("result", "vfs_write", returns=True)
    other.type("cat /home/notes.txt | wc")
    for number in range(400):
        if other.run(instructions=997) is not Stop.LIMIT:
            break
        if number % 10 == 9:
            here = other.moment
            other.seek(max(beginning, here.insn - 5_000))
            other.seek(here)
    other.run()
    assert other.events() == one.events()


def test_a_new_command_in_the_past_begins_another_future() -> None:
    lab = rich()
    hit = only(lab, "kprobe.hit")[0]
    lab.seek(hit)
    known = lab.events(0, lab.seq)
    lab.type("echo other")
    lab.run()
    assert lab.events(0, len(known)) == known
    assert "echo other" in [event.fields["text"] for event in only(lab, "input")]
    assert lab.console.endswith("other\n")


# Moving in time


def test_seek_goes_to_events_moments_and_instructions() -> None:
    lab = life()
    for event in lab.events(lab.seq)[::7]:
        lab.seek(event)
        assert lab.last_event == event and lab.moment == event.moment
    lab.seek(lab.start + 1234)
    assert lab.moment == Moment(lab.start + 1234)
    with pytest.raises(BadInput, match="begins at instruction"):
        lab.seek(lab.start - 1)


def test_seek_time_goes_to_the_first_instruction_of_that_time() -> None:
    lab = rested()
    lab.type("sleep 0.05")
    lab.run()
    end, step = lab.ns, lab.machine.ns_per_insn
    idle = only(lab, "idle")
    times = [end - 1, end // 2, *(event.ns + delta for event in idle[:3] for delta in (-1, 0, 1, step, 10**6))]
    for ns in (time for time in times if lab.start * step < time < end):
        lab.seek_time(ns)
        found = lab.moment
        assert lab.ns >= ns and found.event == 0
        lab.seek(found.insn - 1)
        assert lab.ns < ns
    lab.seek_time(0)
    assert lab.moment == Moment(lab.start)


def test_seek_time_reaches_into_the_unknown_and_ends_where_nothing_happens() -> None:
    lab = rested()
    lab.type("sleep 0.05")
    target = lab.ns + 30_000_000
    lab.seek_time(target)
    assert lab.ns >= target
    lab.seek(lab.moment.insn - 1)
    assert lab.ns < target
    lab.seek_time(10**15)
    assert lab.run() is Stop.IDLE


# Looking


def test_every_emitted_field_is_documented_with_its_type() -> None:
    types = {"address": int, "number": int, "text": str, "bytes": bytes, "list": list}
    lab = rich(2)
    lab.seek_end()
    for command in ("cat /nope", "usertests", "sleep 0.01 & sleep 0.001", "exit"):
        lab.type(command)
        lab.run(instructions=30_000_000)
    seen = set()
    for event in lab.events():
        fields = {field.name: field.type for field in EVENT_KINDS[event.kind].fields}
        for name, value in event.fields.items():
            assert isinstance(value, types[fields[name]]), (event.kind, name)
        plain = lab.event_json(event)
        assert plain.keys() <= fields.keys() | {"seq", "ns", "cpu", "kind"}, event.kind
        for name, kind in fields.items():
            if name in plain:
                assert isinstance(plain[name], {"number": int, "list": list}.get(kind, str)), (event.kind, name)
        seen.add(event.kind)
    assert len(seen) >= 22


def test_the_phases_of_one_hit_come_in_their_order() -> None:
    lab = life()
    hit = only(lab, "kprobe.hit")[0]
    lab.seek(hit.moment.insn)
    lab.seek([event for event in only(lab, "trap") if event.seq < hit.seq][-1])
    phases, states = [lab.phase], [lab.kprobes().status]
    while lab.phase is not Phase.RUN:
        lab.step(Grain.PHASE)
        if phases[-1] is not lab.phase:
            phases.append(lab.phase)
        if states[-1] != lab.kprobes().status:
            states.append(lab.kprobes().status)
    assert [phase.value for phase in phases] == [
        "#BP", "gate", "pt_regs", "kprobe_int3_handler", "BPF", "kprobe_int3_handler", "slot", "#BP 2", "resume", "run",
    ]  # fmt: skip
    assert states == ["NONE", "HIT_ACTIVE", "HIT_SS", "NONE"]


def test_an_overridden_function_is_left_with_the_handler_done() -> None:
    lab = Lab.open("toyix", profile="bare", optimization=False)
    lab.load_program(".license GPL\n r2 = -13\n call override_return\n r0 = 0\n exit\n", "deny")
    lab.attach("deny", "__x64_sys_mkdir")
    lab.type("mkdir /tmp/x")
    lab.run(until=["bpf.override"])
    places = []
    while lab.phase is not Phase.RUN:
        lab.step(Grain.PHASE)
        places.append(lab.symbolize(lab.registers()["rip"]))
    assert places[-1] == "just_return_func+0x0"
    lab.step(Grain.PHASE, back=True)
    assert lab.machine.log[lab.machine.seq - 1].kind == "kprobe.pre_handler"


def test_stack_words_are_named_where_the_frame_really_is() -> None:
    lab = life()
    hit = only(lab, "kprobe.hit")[0]
    gate = [event for event in only(lab, "gate") if event.seq < hit.seq][-1]
    lab.seek(gate)
    words = {word.field: word for word in lab.stack(8) if word.field}
    frame = gate.fields["frame"]
    assert list(words) == ["ip", "cs", "flags", "sp", "ss"]
    assert b"".join(word.value.to_bytes(8, "little") for word in words.values()) == frame
    lab.step(Grain.PHASE)
    regs = {word.field: word.value for word in lab.stack(60) if word.field.startswith("regs->")}
    assert regs["regs->ip"] == int.from_bytes(frame[:8], "little")
    assert regs["regs->sp"] == int.from_bytes(frame[24:32], "little")
    lab.seek(hit.moment.insn + 200)


def test_maps_and_memory_read_in_the_past_are_those_of_the_past() -> None:
    lab = life()
    updates = [event for event in only(lab, "map.update") if event.fields["map"] == "counts"]
    assert len(updates) >= 4
    for event in updates[::-1]:
        lab.seek(event)
        (counts,) = (view for view in lab.maps() if view.name == "counts")
        assert dict(counts.entries)[event.fields["key"]] == event.fields["new"]
        lab.seek(event.moment.insn)
        (counts,) = (view for view in lab.maps() if view.name == "counts")
        assert dict(counts.entries).get(event.fields["key"], b"") == event.fields["old"]


def test_what_does_not_exist_is_refused() -> None:
    lab = life()
    for look in (lab.registers, lab.kprobes, lab.task):
        with pytest.raises(BadInput, match="no vCPU 5"):
            look(5)
    with pytest.raises(KprobesimError):
        lab.load_program("nonsense", "x")
    with pytest.raises(BadInput, match="no program named"):
        lab.attach("nosuch", "vfs_read")


def test_a_guest_that_triple_faults_says_so_with_the_last_state(tmp_path: object) -> None:
    from pathlib import Path

    kernel = small_kernel()
    for segment in kernel.segments:
        segment.data = b"\x0f\x0b" * max(1, len(segment.data) // 2)
    path = Path(str(tmp_path)) / "kernel.elf"
    path.write_bytes(kernel.build())
    with pytest.raises(GuestError, match="Triple fault") as caught:
        Lab.open(path)
    assert "rip" in caught.value.report


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_run_to_a_place_stops_before_its_instruction_every_time(cpus: int) -> None:
    lab = rested(cpus)
    lab.type("cat /etc/motd")
    lab.kprobe("vfs_read")
    hits, instructions = 0, []
    while lab.run(to="vfs_open+0") is Stop.ADDRESS:
        hits += 1
        assert lab.machine.registers()["rip"] == lab.kernel.symbol("vfs_open")
        instructions.append(lab.moment.insn)
    end, console = lab.moment, lab.console
    assert hits == 2  # the program, and what it prints
    plain = rested(cpus)
    plain.type("cat /etc/motd")
    plain.kprobe("vfs_read")
    plain.run()
    assert (plain.moment, plain.console) == (end, console)
    for insn in reversed(instructions):
        lab.seek(insn)
        assert lab.machine.registers()["rip"] == lab.kernel.symbol("vfs_open")


def test_a_run_to_nowhere_is_a_sentence() -> None:
    lab = rested()
    with pytest.raises(BadInput, match="no symbol vfs_raed"):
        lab.run(to="vfs_raed")
    assert lab.run(to=0xFFFF_FFFF_8100_0000) is Stop.IDLE
