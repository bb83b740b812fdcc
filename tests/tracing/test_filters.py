"""Filters of system calls and of packets in the running kernel (reference bpf.md, sections 7 and 8)."""

import re

import pytest

from kprobesim.bpf.skb import layout
from kprobesim.bpf.verifier import Rejected
from kprobesim.course import find_demo, lessons_folder
from kprobesim.lab import Event, Grain, Lab
from tests.lab.experiment import kinds_of, only, rested, state_of

OPENAT = 257


def lived(*commands: str, jit: int = 0, profile: str = "bare", cpus: int = 1) -> Lab:
    """A machine on which these commands have run."""
    lab = Lab.open(profile=profile, cpus=cpus, optimization=False)
    lab.run()
    lab.set_bpf_jit(jit)
    for command in commands:
        lab.type(command)
        lab.run()
    return lab


def printed(lab: Lab) -> str:
    """What the programs wrote: the console without the kernel's own lines."""
    lines = lab.console.partition("a command a line\n")[2].splitlines()
    return "\n".join(line for line in lines if not line.startswith("["))


def verdicts(lab: Lab, nr: int = OPENAT) -> list[Event]:
    """What became of the system calls of this number."""
    return [event for event in only(lab, "seccomp.verdict") if event.fields["nr"] == nr]


@pytest.mark.parametrize("jit", [0, 1])
@pytest.mark.parametrize("profile", ["bare", "distro", "server"])
def test_the_kernel_allows_and_refuses_what_linux_does(profile: str, jit: int) -> None:
    """Section 8: modes, actions, precedence, errno capping, path limit; section 7: what a socket's filter may be."""
    lab = lived("calltests", jit=jit, profile=profile)
    assert printed(lab) == "calltests: ok"


@pytest.mark.parametrize("cpus", [2, 4])
def test_filters_on_several_cpus(cpus: int) -> None:
    lab = lived("calltests", cpus=cpus)
    assert printed(lab) == "calltests: ok"


@pytest.mark.parametrize(
    ("actions", "action", "data", "end"),
    [
        ("", "KILL_PROCESS", 1, ""),
        ("thread", "KILL_THREAD", 1, ""),
        ("trap=7", "TRAP", 7, ""),
        ("errno=13", "ERRNO", 13, "\nsandbox: openat: Permission denied"),
        ("errno=5000", "ERRNO", 4095, "\nsandbox: openat: Unknown error 4095"),
        ("notify", "USER_NOTIF", 1, "\nsandbox: openat: Function not implemented"),
        ("trace", "TRACE", 1, "\nsandbox: openat: Function not implemented"),
        ("log", "LOG", 1, "\nsandbox: openat gave 3"),
        ("odd", "KILL_PROCESS", 1, ""),
        ("log errno=2", "ERRNO", 2, "\nsandbox: openat: No such file or directory"),
        ("errno=1 errno=2", "ERRNO", 2, "\nsandbox: openat: No such file or directory"),
        ("trap errno=2 kill thread", "KILL_PROCESS", 1, ""),
    ],
)
def test_a_sandboxed_program_is_tripped_by_openat(actions: str, action: str, data: int, end: str) -> None:
    """Section 8: the strongest action of all filters, and of equals the newest filter's data."""
    lab = lived(f"sandbox {actions}".strip())
    assert printed(lab) == "sandbox: read, write and exit are left" + end
    (verdict,) = verdicts(lab)
    assert (verdict.fields["action"], verdict.fields["data"]) == (action, data)
    assert verdict.fields["arch"] == 0xC000_003E


def test_without_no_new_privs_only_root_may_confine_itself() -> None:
    """Section 8: EACCES."""
    assert printed(lived("sandbox -n")) == "sandbox: kill: Permission denied"


def test_a_filter_is_inherited_over_fork_and_execve() -> None:
    lab = lived("nocall 257 errno=5 sh -c 'cat /etc/motd; cat /etc/motd'")
    assert printed(lab) == "\n".join(["cat: /etc/motd: Input/output error"] * 2)
    assert {verdict.fields["comm"] for verdict in verdicts(lab)} == {"cat"}
    assert len({verdict.fields["pid"] for verdict in verdicts(lab)}) == 2


def test_a_filter_sees_arguments_but_not_what_they_point_to() -> None:
    lab = lived("nocall 1.0=2 errno=5 cat /nope", "nocall 1.0=2 errno=5 cat /etc/hostname")
    assert printed(lab) == "toyix"
    assert [event.fields["args"][0] for event in verdicts(lab, 1)] == [2, 1]


def test_a_refused_system_call_is_never_looked_up() -> None:
    """syscall_trace_enter comes first: neither sys_enter nor the function of the call sees it."""
    lab = rested()
    probe = lab.kprobe("do_sys_openat2", pre_handler=lambda *_: 0)
    lab.type("sandbox errno=13")
    lab.run()
    assert len(verdicts(lab)) == 1
    assert not only(lab, "kprobe.hit")
    lab.type("cat /etc/hostname")
    lab.run()
    assert len(only(lab, "kprobe.hit")) == 1
    assert probe.nmissed == 0


def test_sigsys_says_which_call_it_was_and_from_where() -> None:
    """Section 8: si_call_addr, si_syscall, si_arch, si_errno; si_code is SYS_SECCOMP."""
    lab = lived("sandbox trap=7")
    (verdict,) = verdicts(lab)
    lab.seek(verdict)
    lab.run(to="get_signal")
    task = lab.task().address
    info = task + lab.kernel.task_offset("pending.forced")

    def member(name: str) -> int:
        place = lab.kernel.btf.struct_member("kernel_siginfo", name)
        assert place is not None
        return int.from_bytes(lab.read(info + place.offset, place.size), "little")

    assert [member(name) for name in ("si_signo", "si_errno", "si_code")] == [31, 7, 1]
    assert member("si_call_addr") == verdict.fields["ip"]
    assert (member("si_syscall"), member("si_arch")) == (OPENAT, 0xC000_003E)


def test_a_kill_is_in_the_kernels_log_as_an_audit_record() -> None:
    text = lived("sandbox").console
    assert re.search(
        r'audit: type=1326 audit\(0\.\d{3}:1\): auid=4294967295 uid=0 gid=0 ses=4294967295 pid=\d+ comm="sandbox" '
        r"sig=31 arch=c000003e syscall=257 compat=0 ip=0x[0-9a-f]+ code=0x80000000\n",
        text,
    )


def test_proc_status_tells_of_the_confinement() -> None:
    lab = lived("grep NoNewPrivs /proc/self/status", "nocall 999 log nocall 999 log grep Seccomp /proc/self/status")
    assert printed(lab) == "NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t2"


@pytest.mark.parametrize("jit", [0, 1])
def test_a_sockets_filter_drops_and_trims_real_packets(jit: int) -> None:
    lab = lived("udpcat -k a -c 3 apple pear avocado a", jit=jit)
    assert printed(lab) == "app\navo\na"
    told = [
        (event.fields["verdict"], event.fields["len"], event.fields["kept"]) for event in only(lab, "socket.verdict")
    ]
    assert told == [("trim", 13, 11), ("drop", 12, 0), ("trim", 15, 11), ("keep", 9, 9)]
    ports = (9000).to_bytes(2, "big") * 2
    assert only(lab, "socket.verdict")[1].fields["packet"] == ports + bytes([0, 12, 0, 0]) + b"pear"


def test_a_packets_struct_is_where_converted_filters_look() -> None:
    """Section 7: the offsets of struct sk_buff are part of the code."""
    btf = rested().kernel.btf
    fields = "dev len data_len queue_mapping pkt_type hash vlan_proto vlan_tci mark protocol network_header mac_header"
    for name in [*fields.split(), "tail", "end", "head", "data"]:
        place = btf.struct_member("sk_buff", name)
        assert place is not None
        assert place.offset == getattr(layout, f"SKB_{name.upper()}"), name
    for name in ("ifindex", "type"):
        place = btf.struct_member("net_device", name)
        assert place is not None
        assert place.offset == getattr(layout, f"DEV_{name.upper()}")


def test_machine_code_of_a_filter_is_called_by_the_guest_and_freed_with_its_task() -> None:
    lab = lived("sandbox errno=13", jit=1)
    (load,) = only(lab, "filter.load")
    assert "bpf.enter" not in kinds_of(lab.events())
    lab.seek(load)
    assert re.fullmatch(r"bpf_prog_[0-9a-f]{16}\+0x0", lab.symbolize(load.fields["jited"]))
    lab.run(to=load.fields["jited"])
    caller = lab.kernel.read_u64(lab.registers()["rsp"])
    assert lab.symbolize(caller).startswith("seccomp_run_filters+")
    data = lab.read(lab.registers()["rdi"], 16)
    assert int.from_bytes(data[4:8], "little") == 0xC000_003E
    lab.run()
    assert not [symbol for symbol in lab.kernel.kallsyms if symbol.module == "bpf"]


def test_every_verdict_is_the_same_forwards_and_backwards() -> None:
    lab = lived("sandbox errno=13", "udpcat -k a -c 3 apple pear", "sandbox trap")
    moments = [event.moment for event in lab.events() if event.kind.endswith(".verdict")]
    assert len(moments) > 5
    forwards = []
    lab.seek(lab.start)
    for moment in moments:
        lab.seek(moment)
        forwards.append(state_of(lab))
    backwards = []
    for moment in reversed(moments):
        lab.seek(moment)
        backwards.append(state_of(lab))
    assert backwards[::-1] == forwards


def test_going_back_before_a_filter_and_forth_again_runs_its_machine_code() -> None:
    lab = lived("sandbox errno=13", jit=1)
    before = state_of(lab)
    lab.seek(lab.start)
    lab.seek_end()
    assert state_of(lab) == before


def test_a_filter_is_stepped_one_bpf_instruction_at_a_time() -> None:
    lab = lived("udpcat -k a apple")
    (enter,) = only(lab, "bpf.enter")
    lab.seek(enter)
    walked = []
    while (view := lab.bpf_view()) is not None:
        walked.append((lab.moment, view.pc))
        lab.step(Grain.BPF)
    slots = [slot for _, slot in walked]
    assert slots[0] == 0
    assert len(set(slots)) > 10
    for moment, slot in reversed(walked[1:]):
        lab.seek(moment)
        seen = lab.bpf_view()
        assert seen is not None
        assert seen.pc == slot


def test_a_filter_that_is_refused_says_why() -> None:
    lab = lived("calltests")
    reasons = [event.fields["reason"] for event in only(lab, "filter.refuse")]
    assert any("seccomp has no opcode 0x0028" in reason for reason in reasons)
    assert any("M[0] may be read before it was written" in reason for reason in reasons)
    assert all(event.fields["errno"] == 22 for event in only(lab, "filter.refuse"))
    for event in only(lab, "filter.refuse"):
        assert "Instruction" not in lab.narrate(event, "zh").what, "why is told in the language of the sentence"


def test_a_task_without_filters_makes_its_calls_as_before() -> None:
    lab = lived("cat /etc/hostname", "echo x | wc")
    assert not [event for event in lab.events() if event.kind.split(".")[0] in ("filter", "seccomp", "socket")]


@pytest.mark.parametrize("jit", [0, 1])
def test_no_memory_is_lost(jit: int) -> None:
    work = ["sandbox errno=13 log", "sandbox", "udpcat -k a -c 3 apple pear", "nocall 999 log true"]

    def free_pages(times: int) -> int:
        lab = lived(*work * times, jit=jit)
        return lab.kernel.read_u64(lab.kernel.symbol("nr_free_pages"))

    # A slab that happens to be half full may hold a page more.
    assert free_pages(5) >= free_pages(1) - 4


def test_the_demo_goes_from_the_filters_text_to_the_bytes_that_run() -> None:
    lab = find_demo("packet-filter").open()
    check, load, *verdicts_ = [
        event for event in lab.events(lab.seq) if event.kind in ("filter.check", "filter.load", "socket.verdict")
    ]
    assert check.fields["text"].startswith("(000) ldb      [8]\n")
    lab.seek(load)
    assert lab.read(load.fields["jited"], len(load.fields["code"])) == load.fields["code"]
    assert lab.code(load.fields["jited"])[0].address == load.fields["jited"]
    assert [event.fields["verdict"] for event in verdicts_] == ["trim", "drop"]


def test_the_program_that_a_lesson_has_mended_is_refused_as_it_stands() -> None:
    text = (lessons_folder() / "35-why-no-verifier" / "astray.bpf").read_text(encoding="utf-8")
    with pytest.raises(Rejected, match="map_value_or_null"):
        rested().load_program(text, "astray")
