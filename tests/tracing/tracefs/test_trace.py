"""The trace: its form, its buffer, its switches, and going back in time over it."""

import re
from pathlib import Path

import pytest

from kprobesim.lab import Lab, Moment
from kprobesim.machine import Answer, VCpu
from kprobesim.tracing.ring_buffer import BUF_PAGE_SIZE, RingBuffer
from tests.tracing.tracefs.console import HEADER_LINES, Console, functions

REAL = Path(__file__).resolve().parents[4] / "shared/acceptance/linux-6.1/01_kprobe_events.txt"
LINE = re.compile(r" +\S+-\d+ +\[\d{3}\] [.dDbX][.Nnp][.ZzHhs][.0-9a-f][.0-9a-f] +\d+\.\d{6}: \w+: \(.+\).*")


def test_form_of_a_line_and_of_the_header() -> None:
    """TFS-10, TFS-11, TFS-12, TFS-22: a breakpoint's context is ..Zff, a return's ....."""
    console = Console()
    console.run("echo 'p:in vfs_read count=%dx' > kprobe_events", "echo 'r:out vfs_read ret=$retval' >> kprobe_events")
    console.run("echo 1 > events/kprobes/enable; cat /etc/motd; echo 0 > events/kprobes/enable")
    text = console.run("cat trace").splitlines()
    assert text[0] == "# tracer: nop" and text[2] == "# entries-in-buffer/entries-written: 4/4   #P:1"
    assert all(line.startswith("#") for line in text[:HEADER_LINES])
    lines = text[HEADER_LINES:]
    assert all(LINE.fullmatch(line) for line in lines)
    assert [line[31:36] for line in lines] == ["..Zff", "....."] * 2
    first, second = functions(lines)[:2]
    assert re.fullmatch(r"in: \(vfs_read\+0x0/0x[0-9a-f]+\) count=0x1000", first)
    assert re.fullmatch(r"out: \(ksys_read\+0x[0-9a-f]+/0x[0-9a-f]+ <- vfs_read\) ret=0x53", second)


def test_deleting_an_event_that_was_enabled_empties_the_trace() -> None:
    """TFS-06."""
    console = Console()
    console.run("echo p:a vfs_read > kprobe_events", "echo p:b vfs_open >> kprobe_events")
    console.run("echo 1 > events/kprobes/a/enable; cat /etc/motd; echo 0 > events/kprobes/a/enable")
    assert console.trace()
    console.run("echo -:b >> kprobe_events")
    assert console.trace(), "b was never enabled"
    console.run("echo -:a >> kprobe_events")
    assert not console.trace()


def test_switches() -> None:
    """TFS-07, TFS-08: what is in an event's folder; 0, 1, X; tracing_on; truncation of trace."""
    console = Console()
    console.run("echo p:a vfs_read > kprobe_events", "echo p:b vfs_open >> kprobe_events")
    assert console.run("ls events/kprobes/a").split() == ["enable", "filter", "format", "hist", "id", "trigger"]
    assert console.run("ls events/kprobes").split() == ["a", "b", "enable", "filter"]
    assert console.run("cat events/kprobes/enable events/kprobes/a/enable") == "0\n0\n"
    console.run("echo 1 > events/kprobes/a/enable")
    states = console.run("cat events/kprobes/enable events/enable events/kprobes/a/enable set_event")
    assert states == "X\nX\n1\nkprobes:a\n"
    assert console.run("echo 2 > events/kprobes/a/enable") == "sh: write error: Invalid argument\n"
    assert console.run("echo > events/kprobes/a/enable") == "sh: write error: Invalid argument\n"
    console.run("echo 0 > tracing_on; echo > trace; cat /etc/motd")
    assert console.run("cat tracing_on") == "0\n" and not console.trace()
    console.run("echo 1 > tracing_on")
    assert console.trace()
    console.run("echo > set_event; echo > trace")
    assert console.run("cat set_event") == "" and not console.trace()


def test_profile_counts_hits_also_while_tracing_is_off() -> None:
    """TFS-13, TFS-14."""
    console = Console()
    console.run("echo p:a vfs_open > kprobe_events", "echo 0 > tracing_on; echo 1 > events/kprobes/a/enable")
    console.run("cat /etc/motd; echo 0 > events/kprobes/a/enable")
    line = console.run("cat kprobe_profile")
    assert re.fullmatch(r"  a {43}  {14}\d  {14}0\n", line) and int(line.split()[1]) >= 2


def test_a_missed_hit_is_counted() -> None:
    """TFS-13: a call while the one instance of a return probe waits for another."""
    console = Console()
    console.run("echo r1:a vfs_read > kprobe_events; echo 1 > events/kprobes/a/enable")
    console.run("sleep 0.05 | cat & cat /etc/motd; sleep 0.1")
    hits, missed = console.run("cat kprobe_profile").split()[1:]
    assert int(hits) > 0 and int(missed) > 0


def test_filters() -> None:
    """TFS-18."""
    console = Console()
    console.run("echo 'p:a do_sys_openat2 fd=%di:s32 fn=+0(%si):ustring' > kprobe_events")
    path = "events/kprobes/a/filter"
    assert console.run(f"cat {path}") == "none\n"
    console.run("echo 1 > events/kprobes/a/enable")

    def kept(expression: str) -> int:
        assert console.run(f"echo '{expression}' > {path}", f"cat {path}") == f"{expression}\n"
        console.run("echo > trace; cat /etc/motd; cat /etc/hostname; cat /etc/motd")
        return sum("/etc/" in line for line in console.trace())

    assert kept('fn == "/etc/motd"') == 2
    assert kept('fn ~ "*host*"') == 1
    assert kept('fn != "/etc/motd" && fn ~ "/etc/*"') == 1
    assert kept('!(fn ~ "*motd") && fd == -100') == 1
    assert kept('fd < 0 && (fn ~ "/etc/m*" || fn ~ "*[a-i]ostname")') == 3
    assert kept("fd > 0 || common_pid == 0") == 0
    assert kept('fd & 0x4 && comm == "cat"') == 3
    console.run(f"echo 0 > {path}")
    assert console.run(f"cat {path}") == "none\n"


@pytest.mark.parametrize(
    ("expression", "errno", "shown"),
    [
        ("no == 1", "Invalid argument", "no == 1\n   ^\nparse_error: Field not found\n\n"),
        ("fd = 1", "Invalid argument", "fd = 1\n    ^\nparse_error: Invalid operator\n\n"),
        ("(fd == 1", "No such file or directory", "(fd == 1\n^\nparse_error: Too many '('\n\n"),
        ("fd == 1)", "Operation not permitted", "fd == 1)\n       ^\nparse_error: Too few '('\n\n"),
        ('fn == "x', "No such process", 'fn == "x\n      ^\nparse_error: Missing matching quote\n\n'),
        ("fn == 1", "Invalid argument", "fn == 1\n       ^\nparse_error: Expecting string field\n\n"),
        ('fd == "1"', "Invalid argument", 'fd == "1"\n       ^\nparse_error: Expecting numeric field\n\n'),
        ("fd == 1 &&", "Invalid argument", "fd == 1 &&\n          ^\nparse_error: Meaningless filter expression\n\n"),
        ("fd == 1 fd == 2", "Operation not permitted",
         "fd == 1 fd == 2\n        ^\nparse_error: Too many terms in predicate expression\n\n"),
    ],
)  # fmt: skip
def test_wrong_filters_show_what_is_wrong(expression: str, errno: str, shown: str) -> None:
    """TFS-18: the file reads back with a caret, and error_log has an entry."""
    console = Console()
    console.run("echo 'p:a do_sys_openat2 fd=%di:s32 fn=+0(%si):ustring' > kprobe_events")
    assert console.run(f"echo '{expression}' > events/kprobes/a/filter") == f"sh: write error: {errno}\n"
    assert console.run("cat events/kprobes/a/filter") == shown
    assert "] event filter parse error: error: " in console.run("cat error_log")


def test_a_full_buffer_loses_its_oldest_page() -> None:
    console = Console()
    console.run("echo 'p:a vfs_read' > kprobe_events", "echo 8 > buffer_size_kb; echo 1 > events/kprobes/a/enable")
    console.run("dd if=/dev/zero bs=1 count=1000 status=none of=/dev/null")
    head = console.run("cat trace").splitlines()[2]
    found = re.search(r"entries-written: (\d+)/(\d+)", head)
    assert found is not None
    kept, written = map(int, found.groups())
    assert written > 1000 > kept and (written - kept) % (BUF_PAGE_SIZE // 20) == 0
    assert console.run("cat buffer_size_kb") == "8\n"


def test_buffer_size_before_and_after_the_first_use() -> None:
    console = Console()
    assert console.run("cat buffer_size_kb") == "7 (expanded: 1408)\n"
    console.run("echo p:a vfs_open > kprobe_events; echo 1 > events/kprobes/a/enable")
    assert console.run("cat buffer_size_kb") == "1408\n"
    assert console.run("echo 0 > buffer_size_kb") == "sh: write error: Invalid argument\n"


def test_ring_buffer_goes_back() -> None:
    buffer = RingBuffer(0, 8)
    for number in range(100):
        assert buffer.write(number, bytes(40))
    state, before = buffer.save(), buffer.entries()
    for number in range(300):
        buffer.write(100 + number, bytes(60))
    assert buffer.overrun
    buffer.restore(state)
    assert buffer.entries() == before and not buffer.overrun
    assert not buffer.write(1, bytes(5000))


def test_trace_pipe_waits_and_takes() -> None:
    """A reader sleeps until a record is written; what it has read is no longer in the trace."""
    console = Console()
    console.run("echo p:a vfs_open > kprobe_events; cat trace_pipe > /tmp/out &")
    assert console.run("cat /tmp/out") == ""
    console.run("echo 1 > events/kprobes/a/enable; cat /etc/motd; echo 0 > events/kprobes/a/enable")
    assert "a: (vfs_open+0x0/" in console.run("cat /tmp/out")
    assert not console.trace()


def test_form_of_a_format_file() -> None:
    """TFS-09; the rest of it is compared with a real kernel's below."""
    console = Console()
    console.run("echo 'p:a vfs_read x=+0(%si):u8[3] s=+0(+0(%si)):string[2] b=%di:b3@2/16' > kprobe_events")
    text = console.run("cat events/kprobes/a/format")
    assert "\tfield:u8 x[3];\toffset:16;\tsize:3;\tsigned:0;\n" in text
    assert "\tfield:__data_loc char[][2] s;\toffset:19;\tsize:8;\tsigned:1;\n" in text
    assert "\tfield:u16 b;\toffset:27;\tsize:2;\tsigned:0;\n" in text
    assert 'print fmt: "(%lx) x={%u,%u,%u} s={\\"%s\\",\\"%s\\"} b=%u", REC->__probe_ip, REC->x[0]' in text
    assert "__get_str(s[0]), __get_str(s[1]), REC->b\n" in text


@pytest.mark.skipif(not REAL.is_file(), reason="the real kernel's output is not here")
def test_as_a_real_kernel_prints_it() -> None:
    """The first half of a Linux 6.1's session: what does not depend on addresses, times and pids is the same."""
    console = Console()
    compared = 0
    for part in REAL.read_text(encoding="utf-8").split("### stack trace trigger")[0].split("\n$ ")[1:]:
        command, _, rest = part.partition("\n")
        expected = rest.split("\n(exit ")[0].removesuffix("\n")
        printed = console.run(command).rstrip("\n")
        if command.startswith(("cat kprobe_events", "cat events/", "echo 'dfd", "echo 'fn")):
            assert printed == expected, command
        elif command == "cat trace":
            ours, theirs = printed.splitlines(), expected.splitlines()
            assert ours[:2] + ours[3:HEADER_LINES] == theirs[:2] + theirs[3:HEADER_LINES]
            assert all(LINE.fullmatch(line) for line in ours[HEADER_LINES:])
            assert all(LINE.fullmatch(line) for line in theirs[HEADER_LINES:])
        elif command.endswith("enabled"):
            assert printed == expected
        elif command == "cat kprobe_profile":
            ours, theirs = printed.splitlines(), expected.splitlines()
            assert [(line.split()[0], len(line)) for line in ours] == [(line.split()[0], len(line)) for line in theirs]
        else:
            continue
        compared += 1
    assert compared > 10


# Back and forth in time


@pytest.fixture(scope="module")
def lived() -> Console:
    console = Console()
    console.run("echo p:a vfs_open x=%di > kprobe_events", "echo 1 > events/kprobes/a/enable", "cat /etc/motd")
    console.run("echo 0 > events/kprobes/a/enable")
    return console


def events_of(lab: Lab, kind: str) -> list[Moment]:
    return [event.moment for event in lab.events() if event.kind == kind]


def test_back_over_a_definition(lived: Console) -> None:
    lab = lived.lab
    defined = events_of(lab, "event.define")[0]
    lab.seek(Moment(defined.insn))
    assert not lab.tracing.dyn_events.probes and not list(lab.manager.kprobes)
    lab.seek(Moment(defined.insn + 1))
    assert [probe.show() for probe in lab.tracing.dyn_events.probes] == ["p:kprobes/a vfs_open x=%di\n"]
    lab.seek_end()
    assert len(lab.tracing.dyn_events.probes) == 1


def test_back_over_trace_output(lived: Console) -> None:
    lab = lived.lab
    entries = events_of(lab, "trace.entry")
    whole = lab.tracing.events.output.text()
    for number in (len(entries) - 1, 0, len(entries) // 2):
        lab.seek(Moment(entries[number].insn))
        assert lab.tracing.events.output.text().count(b" a: (") == number
        lab.seek(Moment(entries[number].insn + 1))
        assert lab.tracing.events.output.text().count(b" a: (") == number + 1
    lab.seek_end()
    assert lab.tracing.events.output.text() == whole


def test_into_the_middle_of_the_hypercall_that_patches(lived: Console) -> None:
    """Writing 1 to enable is one hypercall of several moments: patched, then told of."""
    lab = lived.lab
    poke = next(event for event in lab.events() if event.kind == "text.poke")
    enable = next(event for event in lab.events() if event.kind == "event.enable")
    assert poke.moment.insn == enable.moment.insn and poke.moment.event < enable.moment.event
    address = lab.kernel.symbol("vfs_open")
    lab.seek(Moment(poke.moment.insn))
    assert lab.read(address, 1) != b"\xcc"
    for moment in (poke.moment, enable.moment, poke.moment):
        lab.seek(moment)
        assert lab.moment == moment and lab.read(address, 1) == b"\xcc"
        assert lab.tracing.events.events["kprobes", "a"].enabled is (moment == enable.moment)
    lab.seek_end()


def test_lives_are_the_same_however_they_are_cut() -> None:
    def live(slices: int) -> tuple[list[object], bytes]:
        lab = Lab.open()
        lab.machine.slice = slices
        lab.run()
        lab.type("echo p:a vfs_read > /sys/kernel/tracing/kprobe_events")
        lab.type("echo 1 > /sys/kernel/tracing/events/kprobes/a/enable")
        lab.type("cat /etc/motd")
        lab.run()
        return [(event.moment, event.kind) for event in lab.events()], lab.tracing.events.output.text()

    assert live(1_000_000) == live(777) == live(1_000)


def test_deferred_call_sees_the_arguments_and_answers() -> None:
    """A deferred hypercall is one instruction: it counts once, and its events are moments of it."""
    console = Console()
    seen: list[tuple[int, int]] = []
    machine = console.lab.machine
    stubs = {console.lab.kernel.kallsyms.symbolize(address): n for address, n in console.lab.kernel.tables.hypercalls}
    number = stubs["hostfs_lookup+0x0"]
    original = machine.devices.deferred[number]

    def call(cpu: VCpu, first: int, second: int, third: int) -> Answer:
        seen.append((machine.insn, machine.retired))
        return original(cpu, first, second, third)

    machine.devices.deferred[number] = call
    console.run("cat tracing_on")
    assert seen and all(insn == retired for insn, retired in seen)


@pytest.mark.parametrize("cpus", [2, 4])
def test_several_cpus(cpus: int) -> None:
    console = Console(cpus)
    console.run("echo p:a vfs_read > kprobe_events; echo 1 > events/kprobes/a/enable")
    console.run("cat /etc/motd | cat | cat | wc; echo 0 > events/kprobes/a/enable")
    text = console.run("cat trace").splitlines()
    assert text[2].endswith(f"#P:{cpus}")
    lines = [line for line in text[HEADER_LINES:] if not line.startswith("#####")]
    times = [re.search(r"(\d+\.\d{6}):", line) for line in lines]
    stamps = [float(found[1]) for found in times if found]
    assert stamps == sorted(stamps) and len({line[26:29] for line in lines}) > 1


def test_ctrl_c_ends_a_reader_that_waits() -> None:
    console = Console()
    assert console.run("cat trace_pipe") == ""
    devices = console.lab.machine.devices
    console.lab.timeline.input("^C", lambda: devices.type(b"\x03"))
    assert console.run("echo alive") == "alive\n"


def test_back_over_a_reader_that_was_woken() -> None:
    """The interrupt that wakes a reader of trace_pipe comes again at the same instruction."""
    console = Console()
    console.run("cat trace_pipe > /tmp/out &", "echo p:a vfs_open > kprobe_events; echo 1 > events/kprobes/a/enable")
    console.run("cat /etc/motd")
    lab = console.lab
    woken = [event.moment for event in lab.events() if event.kind == "trap" and event.fields["vector"] == 0xF6]
    assert woken
    before, end = [(event.moment, event.kind) for event in lab.events()], lab.moment
    lab.seek(Moment(woken[0].insn))
    lab.seek_end()
    assert lab.moment == end and [(event.moment, event.kind) for event in lab.events()] == before
