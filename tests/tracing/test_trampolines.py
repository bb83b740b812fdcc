"""fentry, fexit, fmod_ret and tp_btf: programs that a trampoline calls, interpreted and as machine code."""

import struct
from pathlib import Path

import pytest

from kprobesim.bpf import assemble
from kprobesim.bpf.verifier import Rejected
from kprobesim.errors import BadInput, LinuxError
from kprobesim.image import Instruction, decode_one
from kprobesim.kprobes import NOP5, PtRegs
from kprobesim.lab import Lab
from kprobesim.lab.recording import capture, load_recording, replay, save_recording
from kprobesim.linux_errno import Errno
from tests.bpf.object.objects import PROGRAMS
from tests.lab.experiment import only, state_of
from tests.tracing.bpftool.tool import out

# What a program wants to say it says by the third argument of a helper that does nothing with it.
SAY = """
r1 = r10
r1 += -8
r2 = 0
call bpf_probe_read_kernel
"""
ENTRY = f"""
.sec fentry/vfs_read
.license GPL
r3 = *(u64 *)(r1 +16)
{SAY}
r0 = 0
exit
"""
EXIT = f"""
.sec fexit/vfs_read
.license GPL
r6 = r1
r3 = *(u64 *)(r1 +32)
{SAY}
r3 = *(u64 *)(r6 +16)
{SAY}
r0 = 0
exit
"""
READ_FILE = "cat /etc/hostname"
BAD = 0xFFFF_C9FF_0000_0000


def booted(profile: str = "distro", cpus: int = 1, jit: int = 0) -> Lab:
    lab = Lab.open(profile=profile, cpus=cpus)
    lab.run()
    lab.set_bpf_jit(jit)
    return lab


def said(lab: Lab, program: str) -> list[int]:
    """What a program has said, as unsigned numbers."""
    return [
        event.fields["args"][2]
        for event in only(lab, "bpf.helper")
        if event.fields["prog"] == program and event.fields["name"] == "bpf_probe_read_kernel"
    ]


def do(lab: Lab, command: str = READ_FILE) -> None:
    lab.type(command)
    lab.run()


def entry(lab: Lab, function: str = "vfs_read") -> bytes:
    return lab.read(lab.address_of(function), 5)


def called(lab: Lab, function: str = "vfs_read") -> str:
    """What the call at a function's entry calls."""
    call = decode_one(entry(lab, function), lab.address_of(function))
    assert isinstance(call, Instruction) and call.mnemonic == "call"
    return lab.symbolize(call.end + call.immediate)


def refused(lab: Lab, source: str, function: str) -> LinuxError:
    """The error of attaching a program; the function's entry may not have changed."""
    before = entry(lab, function)
    lab.load_program(source, "refused")
    with pytest.raises(LinuxError) as caught:
        lab.attach("refused", function)
    assert entry(lab, function) == before
    return caught.value


# The context


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("jit", [0, 1])
def test_fentry_sees_the_arguments_and_fexit_the_result_as_well(jit: int, cpus: int) -> None:
    lab = booted(cpus=cpus, jit=jit)
    lab.load_program(ENTRY, "entry")
    lab.load_program(EXIT, "exit")
    lab.attach("entry", "vfs_read")
    lab.attach("exit", "vfs_read")
    do(lab)
    # cat reads the six bytes "toyix\n", then nothing; the shell waits in a third read.
    buffer = said(lab, "entry")[0]
    assert said(lab, "exit") == [6, buffer, 0, buffer]
    assert said(lab, "entry")[:2] == [buffer, buffer]
    assert lab.console.endswith("toyix\n")


@pytest.mark.parametrize("jit", [0, 1])
def test_the_arguments_are_those_that_a_kprobe_finds_in_the_registers(jit: int) -> None:
    lab = booted(jit=jit)
    seen: list[int] = []

    def look(_: object, regs: PtRegs) -> int:
        seen.append(regs.dx)
        return 0

    lab.load_program(ENTRY, "entry")
    lab.attach("entry", "vfs_read")
    lab.kprobe("vfs_read+0x5", pre_handler=look)
    do(lab)
    assert said(lab, "entry") == seen != []


@pytest.mark.parametrize("jit", [0, 1])
def test_helpers_know_the_function_its_arguments_and_the_cookie(jit: int) -> None:
    lab = booted(jit=jit)
    source = """
    .sec fexit/vfs_read
    .license GPL
    r6 = r1
    call bpf_get_func_ip
    r1 = r6
    call bpf_get_func_arg_cnt
    r1 = r6
    r2 = 2
    r3 = r10
    r3 += -8
    call bpf_get_func_arg
    r1 = r6
    r2 = 4
    r3 = r10
    r3 += -8
    call bpf_get_func_arg
    r1 = r6
    r2 = r10
    r2 += -16
    call bpf_get_func_ret
    r1 = r6
    call bpf_get_attach_cookie
    r0 = 0
    exit
    """
    lab.load_program(source, "asks")
    lab.attach("asks", "vfs_read", cookie=0xC0FFEE)
    do(lab)
    answers = [event.fields["ret"] for event in only(lab, "bpf.helper")]
    invalid = (1 << 64) - Errno.EINVAL
    assert answers[:6] == [lab.address_of("vfs_read"), 4, 0, invalid, 0, 0xC0FFEE]


@pytest.mark.parametrize("jit", [0, 1])
def test_a_tracepoint_has_typed_arguments(jit: int) -> None:
    lab = booted(jit=jit)
    pid = lab.kernel.task_offset("pid")
    lab.load_program(
        f".sec tp_btf/sched_switch\n.license GPL\nr1 = *(u64 *)(r1 +16)\nr0 = *(u32 *)(r1 +{pid})\nexit", "to"
    )
    lab.attach("to", "sched_switch")
    do(lab)
    switched = [event.fields["next_pid"] for event in only(lab, "sched.switch")]
    found = [event.fields["r0"] for event in only(lab, "bpf.exit")]
    assert found == switched[-len(found) :] and len(set(found)) > 1
    with pytest.raises(LinuxError, match="loaded for sched_switch"):
        lab.attach("to", "sys_enter")


@pytest.mark.parametrize("jit", [0, 1])
def test_a_program_in_c_follows_its_typed_arguments(jit: int) -> None:
    lab = booted(jit=jit)
    lab.load_object(PROGRAMS / "trampoline.o")
    do(lab)
    value = lab.bpf.maps["trampoli.bss"].read_value(bytes(4))
    assert value is not None
    asked, got, reader, inode, switched = struct.unpack("<5Q", value)
    assert got == 6 and asked > 12 and inode
    assert switched in {event.fields["next_pid"] for event in only(lab, "sched.switch")}
    assert reader == only(lab, "task.exec")[-1].fields["pid"]
    shown = out("link show", lab)
    assert "prog_type tracing  attach_type trace_fexit  \n\ttarget_obj_id 1" in shown
    assert "raw_tracepoint  prog 3  \n\ttp 'sched_switch'  \n" in shown


# The code


def test_the_entry_calls_the_trampoline_and_is_a_nop_again_afterwards() -> None:
    lab = booted()
    lab.load_program(ENTRY, "entry")
    lab.load_program(EXIT, "exit")
    assert entry(lab) == NOP5
    first = lab.attach("entry", "vfs_read")
    name = called(lab)
    obj_id, btf_id = lab.bpf.trampolines.target(lab.bpf.programs["entry"])
    assert name == f"bpf_trampoline_{obj_id << 32 | 0x80000000 | btf_id}+0x0"
    second = lab.attach("exit", "vfs_read")
    assert called(lab) == name  # the name is the function's; the page is another one
    lab.detach(first)
    lab.detach(second)
    assert entry(lab) == NOP5
    do(lab)
    assert len(only(lab, "trampoline.free")) == len(only(lab, "trampoline.prepare")) == 3
    assert not any(symbol.name.startswith("bpf_trampoline_") for symbol in lab.kernel.kallsyms)


def test_the_program_attached_last_runs_first_and_fexit_after_the_function() -> None:
    lab = booted()
    for name in ("first", "second"):
        lab.load_program(ENTRY, f"{name}_entry")
        lab.load_program(EXIT, f"{name}_exit")
        lab.attach(f"{name}_entry", "vfs_read")
        lab.attach(f"{name}_exit", "vfs_read")
    do(lab)
    order = [event.fields["prog"] for event in only(lab, "bpf.enter")]
    assert order[:4] == ["second_entry", "first_entry", "second_exit", "first_exit"]


def test_a_call_under_way_leaves_without_the_programs_that_have_gone() -> None:
    """A shell waits inside of vfs_read; its trampoline's page stays until it is back."""
    lab = booted()
    lab.load_program(EXIT, "exit")
    link = lab.attach("exit", "vfs_read")
    do(lab)
    runs = len(only(lab, "bpf.exit"))
    assert only(lab, "trampoline.enter")[-1].fields["calls"] == 1
    lab.detach(link)
    lab.run(instructions=1_000_000)
    assert not only(lab, "trampoline.free")
    do(lab)
    lab.run(instructions=1_000_000)
    assert len(only(lab, "bpf.exit")) == runs
    assert only(lab, "trampoline.exit")[-1].fields["calls"] == 0
    assert len(only(lab, "trampoline.free")) == 1
    assert lab.console.endswith("toyix\ntoyix\n")


@pytest.mark.parametrize("jit", [0, 1])
def test_fmod_ret_answers_in_the_functions_place(jit: int) -> None:
    lab = booted(jit=jit)
    lab.load_program(".sec fmod_ret/__x64_sys_openat\n.license GPL\nr0 = -13\nexit", "deny")
    link = lab.attach("deny", "__x64_sys_openat")
    do(lab)
    assert "toyix\n" not in lab.console.splitlines(keepends=True)[-1:]
    assert "ermission denied" in lab.console
    lab.detach(link)
    do(lab)
    assert lab.console.endswith("toyix\n")


# Who else is at the entry


@pytest.mark.parametrize("jit", [0, 1])
@pytest.mark.parametrize("post", [False, True])
def test_a_kprobe_at_the_same_entry_is_served_before_the_trampoline(jit: int, post: bool) -> None:
    lab = booted(jit=jit)
    lab.load_program(ENTRY, "entry")
    lab.load_program(EXIT, "exit")
    lab.attach("entry", "vfs_read")
    lab.attach("exit", "vfs_read")
    alone = called(lab)
    probe = lab.kprobe("vfs_read", post_handler=(lambda *_: None) if post else None)
    assert called(lab) == "ftrace_regs_caller+0x0"
    do(lab)
    kinds = [e.kind for e in lab.events() if e.kind in ("kprobe.hit", "bpf.enter", "trampoline.exit")]
    assert kinds[:4] == ["kprobe.hit", "bpf.enter", "bpf.enter", "trampoline.exit"]
    assert said(lab, "exit")[::2] == [6, 0]
    assert lab.console.endswith("toyix\n")
    # With a post_handler the kprobe may send the function elsewhere: the trampoline asks its own return address.
    assert len(only(lab, "trampoline.prepare")) == (3 if post else 2)
    lab.unregister_kprobe(probe)
    assert called(lab) == alone
    assert len(only(lab, "trampoline.prepare")) == (4 if post else 2)
    do(lab)
    assert said(lab, "exit")[::2] == [6, 0, 0, 6, 0] or said(lab, "exit")[::2][-2:] == [6, 0]


def test_an_fprobe_and_a_return_probe_share_the_function() -> None:
    lab = booted()
    lab.load_program(EXIT, "exit")
    lab.load_program(".license GPL\nr0 = *(u64 *)(r1 +80)\nexit", "result")
    lab.attach("exit", "vfs_read")
    lab.fprobe("vfs_read")
    lab.attach("result", "vfs_read", kind="kretprobe")
    do(lab)
    assert said(lab, "exit")[::2] == [6, 0]
    assert [e.fields["r0"] for e in only(lab, "bpf.exit") if e.fields["prog"] == "result"] == [6, 0]
    assert lab.console.endswith("toyix\n")


def bad_pointers(lab: Lab) -> str:
    """A load through a pointer to a struct, which is bad in all tasks: the start of a program."""
    cred, uid = lab.kernel.task_offset("cred"), lab.kernel.btf.struct_member("cred", "uid")
    assert uid is not None
    for task in lab.tasks():
        lab.poke(task.address + cred, BAD.to_bytes(8, "little"))
    return f"call bpf_get_current_task_btf\nr1 = *(u64 *)(r0 +{cred})\nr3 = *(u32 *)(r1 +{uid.offset})"


def test_a_program_does_not_run_inside_of_itself() -> None:
    """A load of the program on fixup_exception faults, and so fixup_exception is called."""
    lab = booted(jit=1)
    load = bad_pointers(lab)
    for name, function in (("outer", "kernel_clone"), ("inner", "fixup_exception")):
        lab.load_program(f".sec fentry/{function}\n.license GPL\n{load}\nr0 = 0\nexit", name)
        lab.attach(name, function)
    lab.type(READ_FILE)
    lab.run(until=["bpf.exit"])
    lab.run(until=["bpf.exit"])
    kinds = ("bpf.enter", "bpf.skip", "bpf.extable", "bpf.exit")
    told = [(event.kind, event.fields["prog"]) for event in lab.events() if event.kind in kinds]
    assert told == [
        ("bpf.enter", "outer"),
        ("bpf.enter", "inner"),
        ("bpf.skip", "inner"),
        ("bpf.extable", "inner"),
        ("bpf.exit", "inner"),
        ("bpf.extable", "outer"),
        ("bpf.exit", "outer"),
    ]


# Refusals


def test_without_nops_at_entries_there_are_no_trampolines() -> None:
    error = refused(booted("bare"), ENTRY, "vfs_read")
    assert error.errno is Errno.EBUSY and "distro" in (error.hint or "")


def test_a_program_is_on_its_function_once_and_on_no_other() -> None:
    lab = booted()
    lab.load_program(ENTRY, "entry")
    lab.attach("entry", "vfs_read")
    with pytest.raises(LinuxError) as caught:
        lab.attach("entry", "vfs_read")
    assert caught.value.errno is Errno.EBUSY
    with pytest.raises(LinuxError) as caught:
        lab.attach("entry", "vfs_write")
    assert caught.value.errno is Errno.EINVAL
    lab.load_program("r0 = 0\nexit", "plain")
    with pytest.raises(LinuxError) as caught:
        lab.attach("plain", "vfs_read", kind="fentry")
    assert caught.value.errno is Errno.EINVAL


@pytest.mark.parametrize(
    ("section", "errno", "text"),
    [
        ("fmod_ret/vfs_read", Errno.EINVAL, "vfs_read() is not modifiable"),
        ("fentry.s/vfs_read", Errno.EINVAL, "vfs_read is not sleepable"),
        ("fentry/no_such_function", Errno.EINVAL, "attach_btf_id 0 is not a function"),
        ("tp_btf/no_such_tracepoint", Errno.EINVAL, "attach_btf_id 0 is not a typedef"),
        ("fentry", Errno.EINVAL, "Tracing programs must provide btf_id"),
    ],
)
def test_a_program_is_refused_where_it_may_not_be(section: str, errno: Errno, text: str) -> None:
    with pytest.raises(Rejected) as caught:
        booted().load_program(f".sec {section}\n.license GPL\nr0 = 0\nexit", "refused")
    assert (caught.value.errno, caught.value.message) == (errno, text)


@pytest.mark.parametrize("jit", [0, 1])
def test_a_program_that_may_sleep_copies_from_the_user(jit: int) -> None:
    """The name of the file that is opened: openat's second argument, in the user's registers."""
    lab = booted(jit=jit)
    si = lab.kernel.btf.struct_member("pt_regs", "si")
    assert si is not None
    lab.load_program(
        f"""
        .sec fentry.s/__x64_sys_openat
        .license GPL
        r1 = *(u64 *)(r1 +0)
        r3 = *(u64 *)(r1 +{si.offset})
        r1 = r10
        r1 += -8
        r2 = 8
        call bpf_copy_from_user
        r3 = *(u64 *)(r10 -8)
        {SAY}
        r0 = 0
        exit
        """,
        "names",
    )
    lab.attach("names", "__x64_sys_openat")
    do(lab)
    assert said(lab, "names")[-1].to_bytes(8, "little") == b"/etc/hos"


def test_assembly_names_a_section_as_c_does() -> None:
    made = assemble(ENTRY)
    assert (made.type, made.section) == ("tracing", "fentry/vfs_read")
    with pytest.raises(BadInput, match="no section is called 'fentri/vfs_read'"):
        assemble(".sec fentri/vfs_read\nr0 = 0\nexit")


# Loads that may fault


@pytest.mark.parametrize("jit", [0, 1])
def test_a_load_through_a_bad_pointer_gives_0(jit: int) -> None:
    lab = booted(jit=jit)
    load = bad_pointers(lab)
    source = f".sec fentry/kernel_clone\n.license GPL\n{load}\nr3 += 7\n{SAY}\nr0 = 0\nexit"
    lab.load_program(source, "chases")
    lab.attach("chases", "kernel_clone")
    lab.type(READ_FILE)
    lab.run(until=["bpf.exit"])
    assert said(lab, "chases") == [7]
    faults = [trap for trap in only(lab, "trap") if trap.fields.get("cr2", 0) >> 32 == BAD >> 32]
    assert len(faults) == len(only(lab, "bpf.extable")) == jit
    if jit:
        assert only(lab, "bpf.extable")[0].fields["addr"] == faults[0].fields["rip"]


# Back and forth


@pytest.mark.parametrize("jit", [0, 1])
def test_every_moment_inside_of_a_trampoline_comes_back_the_same(jit: int) -> None:
    lab = booted(jit=jit)
    lab.load_program(ENTRY, "entry")
    lab.load_program(EXIT, "exit")
    lab.attach("entry", "vfs_read")
    link = lab.attach("exit", "vfs_read")
    lab.type(READ_FILE)
    lab.run(until=["trampoline.enter"])
    states = []
    for _ in range(40):
        states.append((lab.moment.insn, state_of(lab)))
        lab.run(instructions=7)
    lab.run()
    lab.detach(link)
    lab.run()
    end = state_of(lab)
    for insn, state in reversed(states):
        lab.seek(insn) if insn != states[0][0] else lab.seek(state["place"][0])
        assert state_of(lab) == state
    lab.seek_end()
    assert state_of(lab) == end


def test_a_recording_with_tracing_programs_plays_to_the_same_end(tmp_path: Path) -> None:
    lab = booted(jit=1)
    lab.load_program(assemble(ENTRY), "entry")
    lab.attach("entry", "vfs_read")
    do(lab)
    path = tmp_path / "trampoline.json"
    save_recording(capture(lab), path)
    again = replay(load_recording(path))
    again.seek_end()
    lab.seek_end()
    assert state_of(again)["ram"] == state_of(lab)["ram"]


# bpftool


def test_bpftool_shows_what_a_tracing_link_is_on() -> None:
    lab = booted()
    lab.load_program(ENTRY, "entry")
    lab.attach("entry", "vfs_read")
    _, btf_id = lab.bpf.trampolines.target(lab.bpf.programs["entry"])
    shown = out("link show", lab)
    assert shown == (
        "1: tracing  prog 1  \n"
        "\tprog_type tracing  attach_type trace_fentry  \n"
        f"\ttarget_obj_id 1  target_btf_id {btf_id}  \n"
    )
    assert out("prog show", lab).startswith("1: tracing  name entry  tag ")
    assert f"[{btf_id}] FUNC 'vfs_read'" in out("btf dump id 1", lab)
    assert out("perf show", lab) == ""


CLOSES = """
.sec fentry/{function}
.license GPL
r6 = r1
r1 = *(u64 *)(r6 +0)
r2 = r10
r2 += -64
r3 = 64
call bpf_d_path
if r0 s< 1 goto out
r1 = r10
r1 += -64
r2 = 64
call bpf_trace_printk
out:
r0 = 0
exit
"""


@pytest.mark.parametrize("jit", [0, 1])
@pytest.mark.parametrize(("function", "command"), [("filp_close", "cat /etc/motd"), ("vfs_getattr", "ls -l /etc/motd")])
def test_a_files_name_is_made_of_its_path(function: str, command: str, jit: int) -> None:
    """Section 4: bpf_d_path. A struct file begins with its path, so its address will do."""
    lab = booted(jit=jit)
    lab.load_program(CLOSES.format(function=function), "names")
    lab.attach("names", function, kind="fentry")
    do(lab, command)
    assert "/etc/motd" in {event.fields["text"] for event in only(lab, "trace.printk")}


def test_names_are_made_only_where_linux_allows_it() -> None:
    lab = booted()
    with pytest.raises(Rejected) as caught:
        lab.load_program(CLOSES.format(function="vfs_read"), "names")
    assert caught.value.message == "helper call is not allowed in probe"
    with pytest.raises(Rejected) as caught:
        lab.load_program(CLOSES.format(function="filp_close").replace("r6 +0", "r6 +8"), "names")
    assert "R1 is of type files_struct but path is expected" in caught.value.message


PACKETS = """
.sec fentry/udp_queue_rcv_one_skb
.license GPL
.map packets perf_event_array max_entries=1
r6 = *(u64 *)(r1 +8)
*(u64 *)(r10 -8) = 7
r1 = r6
r2 = map packets
r3 = 0xdffffffff ll
r4 = r10
r4 += -8
r5 = 8
call bpf_skb_output
r0 = 0
exit
"""


@pytest.mark.parametrize("jit", [0, 1])
def test_a_packet_on_its_way_is_put_into_a_sample(jit: int) -> None:
    """Section 4: bpf_skb_output: 8 bytes of the program's own, then the UDP header and the payload."""
    lab = booted(jit=jit)
    lab.load_program(PACKETS, "packets")
    lab.open_perf_buffer("packets")
    lab.attach("packets", "udp_queue_rcv_one_skb", kind="fentry")
    do(lab, "udpcat apple")
    (sample,) = [event.fields["data"] for event in only(lab, "perf.output")]
    assert sample == struct.pack("<Q", 7) + struct.pack(">4H", 9000, 9000, 13, 0) + b"apple"
