"""The files of the trace buffer: per CPU, options, markers, counts; what a reader of trace_pipe sees."""

import re
from itertools import pairwise

import pytest

from kprobesim.lab import Lab
from kprobesim.tracing.ring_buffer import BUF_PAGE_SIZE, RingBuffer
from tests.lab.experiment import rested
from tests.tracing.tracefs.console import HEADER_LINES, Console


@pytest.fixture
def console() -> Console:
    """One event `a` at vfs_open, not enabled."""
    console = Console()
    console.run("echo 'p:a vfs_open' > kprobe_events")
    return console


def stats(console: Console, cpu: int = 0) -> dict[str, str]:
    return dict(line.split(": ") for line in console.run(f"cat per_cpu/cpu{cpu}/stats").splitlines())


# The ring


def test_a_reader_is_told_how_many_records_were_overwritten_before_the_next() -> None:
    buffer = RingBuffer(0, 8)
    for number in range(1000):
        buffer.write(number, number.to_bytes(4, "little") * 10)
    lost = buffer.overrun
    entry = buffer.take()
    assert entry is not None and entry.lost == lost > 0 and entry.ns == lost
    second = buffer.take()
    assert second is not None and second.lost == 0 and second.ns == lost + 1


def test_what_a_reader_holds_is_safe_from_overwriting() -> None:
    """The reader's page is not part of the ring: it can be read to its end, and then the gap shows."""
    buffer = RingBuffer(0, 8)
    for number in range(300):
        buffer.write(number, bytes(40))
    first = buffer.take()
    for number in range(300, 900):
        buffer.write(number, bytes(40))
    assert first is not None
    taken = [first]
    while (entry := buffer.take()) is not None:
        taken.append(entry)
    gaps = [(a.ns, b.ns, b.lost) for a, b in pairwise(taken) if b.ns != a.ns + 1]
    assert gaps == [(gaps[0][0], gaps[0][0] + gaps[0][2] + 1, gaps[0][2])] and gaps[0][2] > 0
    assert len(taken) + sum(entry.lost for entry in taken) == 900 == buffer.read + buffer.overrun


def test_a_reader_catches_up_with_the_writer_on_one_page() -> None:
    buffer = RingBuffer(0, 8)
    for number in range(10):
        buffer.write(number, bytes(8))
        entry = buffer.take()
        assert entry is not None and entry.ns == number and buffer.take() is None
    assert len(buffer) == 0 and buffer.bytes == 0


def test_without_overwrite_new_records_are_dropped() -> None:
    buffer = RingBuffer(0, 8)
    buffer.overwrite = False
    written = [buffer.write(number, bytes(40)) for number in range(1000)]
    kept = written.index(False)
    assert kept == 3 * (BUF_PAGE_SIZE // 44) and buffer.dropped == 1000 - kept and not buffer.overrun
    assert [entry.ns for entry in buffer.entries()] == list(range(kept))


# Files


def test_lost_events_in_trace_pipe(console: Console) -> None:
    """A reader who comes late sees how many records it missed."""
    console.run("echo 8 > buffer_size_kb; echo 1 > events/kprobes/a/enable; echo p:b vfs_read >> kprobe_events")
    console.run("echo 1 > events/kprobes/b/enable; dd if=/dev/zero of=/dev/null bs=1 count=2000 status=none")
    console.run("echo 0 > events/kprobes/enable", "cat trace_pipe > /tmp/out &")
    first = console.run("head -1 /tmp/out")
    found = re.fullmatch(r"CPU:0 \[LOST (\d+) EVENTS\]\n", first)
    assert found is not None and int(found[1]) > 1000 and stats(console)["overrun"] == found[1]


def test_trace_pipe_ends_once_it_was_read_and_tracing_is_off(console: Console) -> None:
    console.run("echo 1 > events/kprobes/a/enable; cat /etc/motd; echo 0 > tracing_on")
    lines = console.run("cat trace_pipe").splitlines()
    assert lines and all(": a: (vfs_open" in line for line in lines)
    assert console.run("echo still here") == "still here\n"


def test_trace_pipe_has_one_reader(console: Console) -> None:
    console.run("cat trace_pipe &")
    assert console.run("cat trace_pipe") == "cat: trace_pipe: Device or resource busy\n"
    assert console.run("cat per_cpu/cpu0/trace_pipe") == "cat: per_cpu/cpu0/trace_pipe: Device or resource busy\n"


def test_per_cpu_files() -> None:
    console = Console(2)
    console.run("echo p:a vfs_read > kprobe_events; echo 1 > events/kprobes/a/enable")
    console.run("cat /etc/motd | cat | cat; cat /etc/motd | cat | cat; echo 0 > events/kprobes/a/enable")
    each = [console.run(f"cat per_cpu/cpu{cpu}/trace").splitlines()[HEADER_LINES:] for cpu in range(2)]
    assert all(f"[00{cpu}]" in line for cpu, lines in enumerate(each) for line in lines) and all(each)
    assert sorted(each[0] + each[1]) == sorted(console.trace()), "nothing was lost, so no line says where a CPU begins"
    assert [stats(console, cpu)["entries"] for cpu in range(2)] == [str(len(lines)) for lines in each]
    console.run("echo > per_cpu/cpu1/trace")
    assert len(console.trace()) == len(each[0])
    console.run("echo 100 > per_cpu/cpu1/buffer_size_kb")
    sizes = console.run("cat buffer_size_kb per_cpu/cpu0/buffer_size_kb buffer_total_size_kb")
    assert sizes == "X\n1408\n1508\n"


def test_a_cpu_that_is_not_in_the_mask_writes_nothing() -> None:
    console = Console(2)
    assert console.run("cat tracing_cpumask") == "3\n"
    console.run("echo p:a vfs_read > kprobe_events; echo 1 > tracing_cpumask; echo 1 > events/kprobes/a/enable")
    console.run("cat /etc/motd | cat | cat; cat /etc/motd | cat | cat")
    assert {line[25:30] for line in console.trace()} == {"[000]"}
    assert console.run("echo zz > tracing_cpumask") == "sh: write error: Invalid argument\n"
    assert "Value too large" in console.run("echo ff > tracing_cpumask")


def test_counts_of_a_buffer(console: Console) -> None:
    console.run("echo 1 > events/kprobes/a/enable; cat /etc/motd; echo 0 > events/kprobes/a/enable; cat /etc/motd")
    shown = stats(console)
    count = len(console.trace())
    assert shown["entries"] == str(count) and shown["bytes"] == str(20 * count) and shown["read events"] == "0"
    assert list(shown) == [
        "entries", "overrun", "commit overrun", "bytes", "oldest event ts", "now ts", "dropped events", "read events",
    ]  # fmt: skip


def test_without_overwrite_the_oldest_stay(console: Console) -> None:
    console.run("echo nooverwrite > trace_options; echo 8 > buffer_size_kb; echo p:b vfs_read > kprobe_events")
    console.run("echo 1 > events/kprobes/b/enable; dd if=/dev/zero of=/dev/null bs=1 count=2000 status=none")
    shown = stats(console)
    assert shown["overrun"] == "0" and int(shown["dropped events"]) > 1000


def test_trace_marker(console: Console) -> None:
    console.run("echo hello world > trace_marker")
    (line,) = console.trace()
    assert re.fullmatch(r" +sh-\d+ +\[000\] \.{5} +\d+\.\d{6}: tracing_mark_write: hello world", line)
    assert console.run("echo 0 > options/markers; echo x > trace_marker") == "sh: write error: Invalid argument\n"
    console.run("echo 1 > options/markers; echo 0 > tracing_on")
    assert console.run("echo x > trace_marker") == "sh: write error: Bad file descriptor\n"
    console.run("echo 1 > tracing_on; echo printk-msg-only > trace_options")
    assert console.trace() == ["hello world"]


def test_options(console: Console) -> None:
    """trace_options and options/ are two views of the same switches."""
    listed = console.run("cat trace_options").split()
    assert listed[:3] == ["print-parent", "nosym-offset", "nosym-addr"] and "context-info" in listed
    names = [word.removeprefix("no") for word in listed]
    assert sorted(names) == console.run("ls options").split()
    console.run("echo sym-offset > trace_options; echo 0 > options/irq-info")
    assert console.run("cat options/sym-offset options/irq-info") == "1\n0\n"
    assert console.run("echo nosuch > trace_options") == "sh: write error: Invalid argument\n"
    assert console.run("echo 2 > options/raw") == "sh: write error: Invalid argument\n"
    assert console.run("echo 1 > options/test_nop_refuse") == "sh: write error: Invalid argument\n"


def test_options_that_change_a_line(console: Console) -> None:
    console.run("echo 1 > options/record-tgid; echo 1 > events/kprobes/a/enable; cat /etc/motd")
    console.run("echo 0 > events/kprobes/a/enable")
    line = next(line for line in console.trace() if "cat-" in line)
    assert re.match(r" +cat-(\d+) +\( +\1\) \[000\] \.\.Zff +\d", line)
    assert "     TGID   " in console.run("cat trace").splitlines()[10]
    console.run("echo 0 > options/record-tgid; echo 0 > options/irq-info")
    text = console.run("cat trace").splitlines()
    assert text[4] == "#           TASK-PID     CPU#     TIMESTAMP  FUNCTION"
    assert re.match(r" +\w+-\d+ +\[000\]  +\d+\.\d{6}: a: ", text[6])
    console.run("echo 0 > options/context-info")
    assert console.run("cat trace").splitlines()[2].startswith("a: (vfs_open")


def test_stacktrace_as_an_option_and_symbols_in_it(console: Console) -> None:
    console.run("echo 1 > options/stacktrace; echo 1 > events/kprobes/a/enable; cat /etc/motd; echo 0 > tracing_on")
    assert " => asm_exc_int3\n => vfs_open\n" in console.run("cat trace")
    console.run("echo 1 > options/sym-offset; echo 1 > options/sym-addr")
    assert re.search(r" => vfs_open\+0x1/0x\w+ <[0-9a-f]{16}>\n", console.run("cat trace"))


def test_saved_names(console: Console) -> None:
    console.run("echo 1 > events/kprobes/a/enable; cat /etc/motd; echo 0 > events/kprobes/a/enable")
    pid = next(line.split("-")[1].split()[0] for line in console.trace() if "cat-" in line)
    assert f"{pid} cat\n" in console.run("cat saved_cmdlines")
    assert console.run("cat saved_cmdlines_size") == "128\n"
    console.run("echo 2 > saved_cmdlines_size")
    assert all("<...>-" in line for line in console.trace())
    assert console.run("echo 0 > saved_cmdlines_size") == "sh: write error: Invalid argument\n"


def test_clocks(console: Console) -> None:
    console.run("echo x > trace_marker")
    assert console.run("cat trace_clock").startswith("[local] global ")
    console.run("echo mono > trace_clock")
    assert "[mono]" in console.run("cat trace_clock") and not console.trace()
    assert console.run("echo nosuch > trace_clock") == "sh: write error: Invalid argument\n"


def test_events_of_a_group_and_all_events(console: Console) -> None:
    """TFS-08: enable, filter and set_event over several events."""
    console.run("echo p:other/b vfs_read n=%dx >> kprobe_events; echo 1 > events/other/enable")
    assert console.run("cat events/other/enable events/kprobes/enable events/enable") == "1\n0\nX\n"
    console.run("echo 0 > events/enable; echo '*:b' > set_event")
    assert console.run("cat set_event") == "other:b\n"
    assert console.run("echo nosuch:x > set_event") == "sh: write error: Invalid argument\n"
    console.run("echo '!other:b' >> set_event", "echo p:other/c vfs_write >> kprobe_events")
    assert console.run("echo 'n == 1' > events/other/filter") == ""
    assert console.run("cat events/other/b/filter") == "n == 1\n"
    shown = console.run("cat events/other/c/filter").splitlines()
    assert shown[2] == "parse_error: Couldn't find or set field in one of a subsystem's events"
    assert console.run("cat events/other/filter").startswith("### global filter ###\n")
    console.run("echo 0 > events/other/filter")
    assert console.run("cat events/other/b/filter events/other/c/filter") == "none\nnone\n"
    assert "\tfield: u64 timestamp;\toffset:0;\tsize:8;" in console.run("cat events/header_page")


def test_lines_of_bpf_programs_are_in_the_trace() -> None:
    """The event bpf_trace:bpf_trace_printk, switched on by its first use."""
    lab: Lab = rested()
    source = """
    .license GPL
    r1 = 0x6968
    *(u64 *)(r10 - 8) = r1
    r1 = r10
    r1 += -8
    r2 = 3
    call bpf_trace_printk
    r0 = 0
    exit
    """
    lab.load_program(source, "hello")
    lab.attach("hello", "vfs_read")
    lab.type("cat /etc/motd")
    lab.run()
    lines = lab.tracing.events.output.text().decode().splitlines()[HEADER_LINES:]
    assert lines and all(
        re.fullmatch(r" +\w+-\d+ +\[000\] d\.Z\.1 +\d+\.\d{6}: bpf_trace_printk: hi", one) for one in lines
    )
    assert lab.tracing.events.events["bpf_trace", "bpf_trace_printk"].enabled
