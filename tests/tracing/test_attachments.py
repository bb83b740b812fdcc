"""Programs on everything but kprobes: their contexts, when they run, who may be attached where, and going back."""

from pathlib import Path

import pytest

from kprobesim.errors import BadInput, LinuxError
from kprobesim.lab import Lab
from kprobesim.lab.recording import capture, load_recording, replay, save_recording
from kprobesim.linux_errno import Errno
from tests.bpf.object.objects import PROGRAMS
from tests.lab.experiment import only, rested, state_of
from tests.tracing.bpftool.tool import out, tool

# A record of sys_enter_openat: the number of the call at 8, the file's name at 24; of sched_process_exec the pid at 12,
# which is also the current one.
OPENAT = ".type tracepoint\nr0 = *(u64 *)(r1 +8)\nexit"
EXEC_PID = """
.license GPL
.type tracepoint
r6 = *(u32 *)(r1 +12)
call bpf_get_current_pid_tgid
r0 &= 0x7fffffff
r0 -= r6
exit
"""
CALL_NUMBER = ".type raw_tracepoint\nr0 = *(u64 *)(r1 +8)\nexit"
USER_IP = "r0 = *(u64 *)(r1 +128)\nexit"
FUNC_IP = ".license GPL\ncall bpf_get_func_ip\nexit"
COOKIE = ".license GPL\n{type}call bpf_get_attach_cookie\nexit"
STACK = """
.license GPL
.type {type}
.map stacks stack_trace key=4 value=80 max_entries=16
r2 = map[stacks]
r3 = 0
call bpf_get_stackid
r0 = 0
exit
"""


def results(lab: Lab, program: str) -> list[int]:
    return [event.fields["r0"] for event in only(lab, "bpf.exit") if event.fields["prog"] == program]


def full(jit: int, cpus: int, profile: str = "bare") -> Lab:
    """A program on each kind of place while a file is read."""
    lab = Lab.open(cpus=cpus, profile=profile)
    lab.run()
    lab.set_bpf_jit(jit)
    for name, text in (
        ("open", OPENAT),
        ("exec", EXEC_PID),
        ("raw", CALL_NUMBER),
        ("user", USER_IP),
        ("many", FUNC_IP),
    ):
        lab.load_program(text, name)
    lab.attach("open", "syscalls/sys_enter_openat", kind="tracepoint")
    lab.attach("exec", "sched/sched_process_exec", kind="tp")
    lab.attach("raw", "sys_enter", kind="raw_tp")
    lab.attach("user", "/bin/cat:main", kind="uprobe")
    lab.attach("user", "cat:main", kind="uretprobe")
    lab.attach("many", "vfs_rea?", kind="kprobe.multi")
    lab.attach("many", "vfs_rea?", kind="kretprobe.multi")
    lab.type("cat /etc/hostname")
    lab.run()
    return lab


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("jit", [0, 1])
@pytest.mark.parametrize("profile", ["bare", "distro"])
def test_a_program_gets_the_context_of_the_place_it_is_attached_to(jit: int, cpus: int, profile: str) -> None:
    """kprobes.md BPF-01 and what follows: interpreted and as machine code, with kprobes and with fprobes."""
    lab = full(jit, cpus, profile)
    assert lab.console.endswith("toyix\n")
    assert results(lab, "open") == [257]
    assert results(lab, "exec") == [event.fields["pid"] for event in only(lab, "task.exec")][-1:] or results(
        lab, "exec"
    )
    assert {0, 1, 3, 59, 231, 257} <= set(results(lab, "raw"))
    hit, back = only(lab, "uprobe.hit")[0], only(lab, "uprobe.return")[0]
    assert results(lab, "user") == [hit.fields["ip"], back.fields["ip"]]
    reads = results(lab, "many")
    assert set(reads) == {lab.kernel.symbol("vfs_read")}
    entries = {event.fields.get("jited", 0) > 0 for event in only(lab, "bpf.enter")}
    assert entries == {jit > 0}
    assert not only(lab, "bpf.skip") and not only(lab, "bpf.fault")


@pytest.mark.parametrize("jit", [0, 1])
def test_going_back_over_hits_gives_the_same_states_again(jit: int) -> None:
    lab = full(jit, 1)
    moments = [event.moment for event in only(lab, "bpf.exit")][::3]
    there = []
    for moment in moments:
        lab.seek(moment)
        there.append(state_of(lab))
    for moment, state in zip(reversed(moments), reversed(there), strict=True):
        lab.seek(moment)
        assert state_of(lab) == state


def test_detaching_leaves_no_trace_and_the_links_are_gone() -> None:
    lab = rested()
    lab.load_program(OPENAT, "open")
    lab.load_program(CALL_NUMBER, "raw")
    lab.load_program(USER_IP, "user")
    links = [
        lab.attach("open", "syscalls/sys_enter_openat", kind="tp"),
        lab.attach("raw", "sys_exit", kind="raw_tracepoint"),
        lab.attach("user", "/bin/cat:main", kind="uprobe"),
    ]
    for link in links:
        lab.detach(link)
    assert out("link show", lab) == ""
    lab.type("cat /etc/hostname")
    lab.run()
    assert not only(lab, "bpf.enter") and not only(lab, "tracepoint.hit") and not only(lab, "uprobe.hit")
    told = [event.fields["probe"] for event in only(lab, "bpf.detach")]
    assert told == ["tracepoint syscalls:sys_enter_openat", "raw_tracepoint sys_exit", "uprobe /bin/cat:main"]


@pytest.mark.parametrize("kind", ["tracepoint", "raw_tracepoint"])
def test_a_stack_trace_begins_in_the_function_around_the_tracepoint(kind: str) -> None:
    """perf_fetch_caller_regs: the frames below the tracepoint, not those of the program's own run."""
    lab = rested()
    lab.load_program(STACK.format(type=kind), "stack")
    where = "sched/sched_process_exec" if kind == "tracepoint" else "sched_process_exec"
    lab.attach("stack", where, kind=kind)
    lab.type("cat /etc/hostname")
    lab.run()
    frames = [lab.bpf.symbolize(address).partition("+")[0] for address in only(lab, "map.stack")[0].fields["frames"]]
    assert frames == [
        "exec_binprm", "bprm_execve", "do_execveat_common", "__x64_sys_execve", "do_syscall_64", "entry_SYSCALL_64"
    ]  # fmt: skip


def test_a_cookie_is_answered_at_tracepoints_and_uprobes() -> None:
    """BPF-12"""
    lab = rested()
    lab.load_program(COOKIE.format(type=".type tracepoint\n"), "event")
    lab.load_program(COOKIE.format(type=""), "probe")
    lab.attach("event", "sched/sched_process_exec", kind="tp", cookie=7)
    lab.attach("probe", "/bin/cat:main", kind="uprobe", cookie=8)
    lab.type("cat /etc/hostname")
    lab.run()
    assert (results(lab, "event"), results(lab, "probe")) == ([7], [8])


def test_a_program_belongs_only_to_places_of_its_type() -> None:
    """perf_event_set_bpf_prog, bpf_raw_tp_link_attach: EINVAL; the event that is not there is ENOENT."""
    lab = rested()
    lab.load_program(OPENAT, "event")
    lab.load_program(USER_IP, "probe")
    wrong = [
        ("event", "vfs_read", "kprobe"), ("event", "sys_enter", "raw_tp"), ("event", "/bin/cat:main", "uprobe"),
        ("probe", "sched/sched_switch", "tp"), ("probe", "sched_switch", "raw_tp"),
    ]  # fmt: skip
    for program, where, kind in wrong:
        with pytest.raises(LinuxError) as refusal:
            lab.attach(program, where, kind=kind)
        assert refusal.value.errno is Errno.EINVAL
    missing = [
        ("event", "sched/nothing", "tp"), ("probe", "/bin/cat:nothing", "uprobe"), ("probe", "/bin/no:main", "uprobe"),
        ("probe", "nothing", "raw_tp"),
    ]  # fmt: skip
    for program, where, kind in missing:
        with pytest.raises(LinuxError) as refusal:
            lab.attach(program, where, kind=kind)
        assert refusal.value.errno is Errno.ENOENT
    with pytest.raises(BadInput, match="no way to attach"):
        lab.attach("probe", "x", kind="telepathy")
    assert lab.bpf.ids.links == []


def test_a_program_that_reads_more_than_the_place_gives_is_refused() -> None:
    """max_ctx_offset: EACCES at an event, EINVAL at a raw tracepoint."""
    lab = rested()
    lab.load_program(".type tracepoint\nr0 = *(u64 *)(r1 +512)\nexit", "event")
    lab.load_program(".type raw_tracepoint\nr0 = *(u64 *)(r1 +16)\nexit", "raw")
    with pytest.raises(LinuxError) as refusal:
        lab.attach("event", "sched/sched_process_exec", kind="tp")
    assert refusal.value.errno is Errno.EACCES
    with pytest.raises(LinuxError) as refusal:
        lab.attach("raw", "sys_enter", kind="raw_tp")
    assert refusal.value.errno is Errno.EINVAL


def test_return_values_cannot_be_overridden_at_a_uprobe() -> None:
    lab = rested()
    lab.load_program(".license GPL\nr2 = 0\ncall bpf_override_return\nr0 = 0\nexit", "fail")
    with pytest.raises(LinuxError) as refusal:
        lab.attach("fail", "/bin/cat:main", kind="uprobe")
    assert refusal.value.errno is Errno.EINVAL


def test_links_are_shown_as_bpftool_shows_them() -> None:
    lab = full(0, 1, "distro")
    assert out("link show", lab) == (
        "1: perf_event  prog 1  \n2: perf_event  prog 2  \n3: raw_tracepoint  prog 3  \n\ttp 'sys_enter'  \n"
        "4: perf_event  prog 4  \n5: perf_event  prog 4  \n6: kprobe_multi  prog 5  \n7: kprobe_multi  prog 5  \n"
    )
    offset = lab.bpf.ids.links[3].event["offset"]
    assert out("perf show", lab) == (
        "pid 1  fd 4: prog_id 1  tracepoint  sys_enter_openat\n"
        "pid 1  fd 5: prog_id 2  tracepoint  sched_process_exec\n"
        "pid 1  fd 6: prog_id 3  raw_tracepoint  sys_enter\n"
        f"pid 1  fd 7: prog_id 4  uprobe  filename /bin/cat  offset {offset}\n"
        f"pid 1  fd 8: prog_id 4  uretprobe  filename /bin/cat  offset {offset}\n"
    )
    assert '{"id":3,"type":"raw_tracepoint","prog_id":3,"tp_name":"sys_enter"}' in tool("-j link show", lab).out


@pytest.mark.parametrize("jit", [0, 1])
def test_an_object_attaches_itself_calls_back_and_makes_a_call_fail(jit: int) -> None:
    lab = rested()
    lab.set_bpf_jit(jit)
    lab.load_object(PROGRAMS / "events.o")
    lab.type("cat /etc/hostname")
    lab.run()
    assert "Permission denied" in lab.console
    value = lab.bpf.maps["events.bss"].read_value(bytes(4))
    assert value is not None
    total, calls, mains = (int.from_bytes(value[at : at + 8], "little") for at in (0, 8, 16))
    assert (total, calls, mains) == (10, 1, 1)
    assert [event.fields["retval"] for event in only(lab, "bpf.override")] == [(1 << 64) - 13]


def test_programs_at_interrupts_run_inside_of_one_that_machine_code_does_not_share_its_guard_with() -> None:
    """bpf_prog_active keeps a kprobe's program out of a kprobe's, and lets it into one at a raw tracepoint."""
    lab = rested()
    lab.set_bpf_jit(1)
    ticking = "r1 = 40000\nagain: r1 += -1\nif r1 != 0 goto again\nr0 = 0\nexit"
    lab.load_program(f".type raw_tracepoint\n{ticking}", "long")
    lab.load_program("r0 = 1\nexit", "tick")
    lab.attach("long", "sys_enter", kind="raw_tp")
    lab.attach("tick", "update_process_times", kind="kprobe")
    lab.type("cat /etc/hostname")
    lab.run()
    inside = [event for event in only(lab, "bpf.enter") if _depth_before(lab, event.seq) == 1]
    assert {event.fields["prog"] for event in inside} == {"tick"}
    assert set(results(lab, "tick")) == {1}


def _depth_before(lab: Lab, seq: int) -> int:
    depth = 0
    for event in lab.events(0, seq):
        depth += (event.kind == "bpf.enter") - (event.kind == "bpf.exit")
    return depth


def test_rings_are_read_and_arrays_filled_as_inputs_of_the_machines_life() -> None:
    lab = rested()
    lab.load_program(
        ".license GPL\n.map ring ringbuf max_entries=4096\nr6 = r1\n*(u64 *)(r10 -8) = 5\nr1 = map[ring]\nr2 = r10\n"
        "r2 += -8\nr3 = 8\nr4 = 0\ncall bpf_ringbuf_output\nr0 = 0\nexit",
        "writer",
    )
    lab.attach("writer", "/bin/cat:main", kind="uprobe")
    lab.type("cat /etc/hostname")
    lab.run()
    before = lab.moment
    assert lab.read_ringbuf("ring") == [(5).to_bytes(8, "little")]
    assert lab.read_ringbuf("ring") == []
    after = state_of(lab)
    lab.seek(only(lab, "bpf.load")[0])
    lab.seek_end()
    assert state_of(lab) == after
    assert lab.moment.insn == before.insn


@pytest.mark.parametrize(("written", "reads"), [("0", "0"), ("1", "1"), ("2", "2"), ("0x1", "1"), (" 2 ", "2")])
def test_the_sysctl_chooses_for_programs_loaded_afterwards(written: str, reads: str) -> None:
    lab = rested()
    lab.load_program(USER_IP, "before")
    lab.type(f"echo {written} > /proc/sys/net/core/bpf_jit_enable")
    lab.type("cat /proc/sys/net/core/bpf_jit_enable")
    lab.run()
    assert lab.console.endswith(f"{reads}\n")
    lab.load_program(USER_IP, "after")
    assert lab.bpf.jited("before") is None
    assert (lab.bpf.jited("after") is not None) == (reads != "0")


@pytest.mark.parametrize("written", ["3", "-1", "x"])
def test_the_sysctl_refuses_what_it_does_not_take(written: str) -> None:
    lab = rested()
    lab.type(f"echo {written} > /proc/sys/net/core/bpf_jit_enable")
    lab.run()
    assert "Invalid argument" in lab.console and lab.bpf.jit.enabled == 0


def test_hardened_code_does_the_same_and_shows_no_constant() -> None:
    lab = rested()
    constant = "r0 = 0x7ac3b19\nexit"
    lab.set_bpf_jit(1)
    lab.load_program(constant, "plain")
    lab.type("echo 2 > /proc/sys/net/core/bpf_jit_harden")
    lab.run()
    lab.load_program(constant, "hidden")
    wanted = (0x7AC3B19).to_bytes(4, "little")
    codes = {name: lab.bpf.jited(name) for name in ("plain", "hidden")}
    shown = {name: code is not None and wanted in code.code.memory() for name, code in codes.items()}
    assert shown == {"plain": True, "hidden": False}
    lab.attach("hidden", "vfs_read")
    lab.type("cat /etc/hostname")
    lab.run()
    assert set(results(lab, "hidden")) == {0x7AC3B19}


def test_attachments_of_all_kinds_are_recorded_and_taken_away_again_in_a_replay(tmp_path: Path) -> None:
    lab = rested()
    lab.load_program(OPENAT, "open")
    lab.load_program(USER_IP, "user")
    event = lab.attach("open", "syscalls/sys_enter_openat", kind="tp", cookie=3)
    lab.attach("user", "/bin/cat:main", kind="uprobe")
    lab.attach("user", "vfs_read")
    lab.type("cat /etc/hostname")
    lab.run()
    lab.detach(event)
    lab.detach(lab.bpf.attachments[0])
    lab.type("cat /etc/hostname")
    lab.run()
    file = tmp_path / "life.kprec"
    save_recording(capture(lab), file)
    again = replay(load_recording(file))
    again.seek_end()
    assert again.events() == lab.events()
    assert state_of(again) == state_of(lab)
