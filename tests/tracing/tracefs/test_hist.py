"""Histograms (TFS-19): what the hist triggers count, and the text of the hist file."""

import re

import pytest

from tests.tracing.tracefs.console import Console

A, B = "events/kprobes/a", "events/kprobes/b"


@pytest.fixture
def console() -> Console:
    """`a` is do_sys_openat2 with the path, `b` is vfs_read with the count."""
    console = Console()
    console.run("echo 'p:a do_sys_openat2 dfd=%di:s32 fn=+0(%si):ustring' > kprobe_events")
    console.run("echo 'p:b vfs_read n=%dx ip=%ip' >> kprobe_events")
    return console


def rows(console: Console, path: str = A) -> list[str]:
    return [line for line in console.run(f"cat {path}/hist").splitlines() if line.startswith("{")]


def test_the_whole_file(console: Console) -> None:
    """TFS-19: header, rows, totals."""
    console.run(f"echo 'hist:keys=fn if fn ~ \"/etc/*\"' > {A}/trigger; cat /etc/motd; cat /etc/motd; cat /etc/passwd")
    assert console.run(f"cat {A}/hist") == (
        "# event histogram\n#\n"
        '# trigger info: hist:keys=fn:vals=hitcount:sort=hitcount:size=2048 if fn ~ "/etc/*" [active]\n#\n\n'
        "{ fn: /etc/passwd                                        } hitcount:          1\n"
        "{ fn: /etc/motd                                          } hitcount:          2\n"
        "\nTotals:\n    Hits: 3\n    Entries: 2\n    Dropped: 0\n"
    )


def test_values_are_summed_up_and_sorted_by(console: Console) -> None:
    """TFS-19: vals, two sort keys, descending."""
    console.run(f"echo 'hist:keys=common_pid.execname:vals=n,n.hex:sort=n.descending,common_pid' > {B}/trigger")
    console.run("cat /etc/motd; dd if=/dev/zero of=/dev/null bs=7 count=3 status=none")
    shown = rows(console, B)
    sums = [int(found[1]) for line in shown if (found := re.search(r"  n: +(\d+)  n: ", line))]
    assert len(sums) == len(shown) > 1 and sums == sorted(sums, reverse=True)
    dd = next(line for line in shown if "dd" in line)
    assert re.fullmatch(r"\{ common_pid: dd              \[ +\d+\] \} hitcount: +3  n: +21  n: +15", dd)
    line = console.run(f"cat {B}/trigger")
    assert line == (
        "hist:keys=common_pid.execname:vals=hitcount,n,n.hex:sort=n.descending,common_pid.execname:size=2048 [active]\n"
    )


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("n", r"\{ n: +21 \}"),
        ("n.hex", r"\{ n: 15 \}"),
        ("n.log2", r"\{ n: ~ 2\^5  \}"),
        ("n.buckets=8", r"\{ n: ~ 16-23 \}"),
        ("ip.sym", r"\{ ip: \[[0-9a-f]{16}\] vfs_read {37} \}"),
        ("ip.sym-offset", r"\{ ip: \[[0-9a-f]{16}\] vfs_read\+0x1/0x[0-9a-f]+ +\}"),
        ("n.syscall", r"\{ n: unknown_syscall {15}\[ 21\] \}|\{ n: sys_\w+ +\[ 21\] \}"),
        ("common_cpu", r"\{ common_cpu: +0 \}"),
        ("common_preempt_count,n", r"\{ common_preempt_count: +255, n: +21 \}"),
    ],
)
def test_modifiers_of_keys(console: Console, key: str, form: str) -> None:
    """TFS-19: .hex .sym .sym-offset .syscall .log2 .buckets, and several keys."""
    console.run(
        f"echo 'hist:keys={key} if n == 21' > {B}/trigger; dd if=/dev/zero of=/dev/null bs=21 count=1 status=none"
    )
    (row,) = rows(console, B)
    assert re.fullmatch(f"(?:{form}) hitcount: +1", row)


def test_percent_and_graph(console: Console) -> None:
    """TFS-19: modifiers of values."""
    console.run(f"echo 'hist:keys=n:vals=n.percent,n.graph if n < 30' > {B}/trigger")
    console.run("dd if=/dev/zero of=/dev/null bs=10 count=1 status=none; dd if=/dev/zero of=/dev/null bs=30 count=0")
    console.run("dd if=/dev/zero of=/dev/null bs=20 count=2 status=none")
    assert rows(console, B) == [
        "{ n:         10 } hitcount:          1  n (%):  20.00  n: #####               ",
        "{ n:         20 } hitcount:          2  n (%):  80.00  n: ####################",
    ]


def test_stacks_as_keys(console: Console) -> None:
    """TFS-19: a stack is several lines, and no blank stands before the bracket."""
    console.run(f"echo 'hist:keys=stacktrace' > {B}/trigger; cat /etc/motd")
    text = console.run(f"cat {B}/hist")
    assert "{ stacktrace:\n         kprobe_int3_handler+0x" in text
    assert re.search(r"\n {9}do_syscall_64\+0x\w+/0x\w+\n {9}entry_SYSCALL_64\S*\n\} hitcount: ", text)


def test_timestamps_set_the_clock(console: Console) -> None:
    """TFS-19: common_timestamp.usecs."""
    console.run(f"echo 'hist:keys=common_timestamp.usecs' > {B}/trigger; cat /etc/motd")
    assert "[global]" in console.run("cat trace_clock") and ":clock=global [active]" in console.run(f"cat {B}/trigger")
    assert all(re.match(r"\{ common_timestamp: +\d+ \}", row) for row in rows(console, B))


def test_pause_continue_clear(console: Console) -> None:
    """TFS-19: the same histogram again, with one of the three words."""
    define = f"echo 'hist:keys=fn:%s if fn ~ \"*motd\"' >> {A}/trigger"
    console.run(define.replace(":%s", ""), "cat /etc/motd", define.replace("%s", "pause"), "cat /etc/motd")
    assert rows(console)[0].endswith("hitcount:          1") and "[paused]" in console.run(f"cat {A}/trigger")
    console.run(define.replace("%s", "cont"), "cat /etc/motd")
    assert rows(console)[0].endswith("hitcount:          2") and "[active]" in console.run(f"cat {A}/trigger")
    console.run(define.replace("%s", "clear"))
    assert rows(console) == []
    assert console.run(f"echo 'hist:keys=dfd:clear' >> {A}/trigger") == "sh: write error: No such file or directory\n"
    assert "Can't clear or continue a nonexistent hist trigger\n" in console.run("cat error_log")


def test_a_full_histogram_drops(console: Console) -> None:
    """TFS-19: size, rounded up to a power of two; what finds no room is counted."""
    console.run(f"echo 'hist:keys=common_timestamp:size=100' > {B}/trigger")
    console.run("dd if=/dev/zero of=/dev/null bs=1 count=300 status=none")
    text = console.run(f"cat {B}/hist")
    assert ":size=128:" in text and "    Hits: 128\n    Entries: 128\n" in text
    dropped = re.search(r"Dropped: (\d+)", text)
    assert dropped is not None and int(dropped[1]) > 150


def test_truncation_removes_histograms_only(console: Console) -> None:
    """TFS-19: > behaves like >> for all other triggers."""
    console.run(f"echo traceon > {A}/trigger; echo hist:keys=fn > {A}/trigger; echo stacktrace > {A}/trigger")
    assert [line.split(":")[0] for line in console.run(f"cat {A}/trigger").splitlines()] == ["stacktrace", "traceon"]


def test_histograms_are_paused_by_other_events(console: Console) -> None:
    """TFS-19: enable_hist, disable_hist."""
    console.run(f"echo hist:keys=n > {B}/trigger; echo disable_hist:kprobes:b > {A}/trigger")
    assert "[paused]" in console.run(f"cat {B}/trigger")
    assert console.run(f"cat {A}/trigger") == "disable_hist:kprobes:b:unlimited\n"


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("keys=nosuch", "Couldn't find field", 10),
        ("keys=fn:vals=nosuch", "Couldn't find field", 18),
        ("keys=fn.nosuch", "Invalid field modifier", 13),
        ("keys=dfd:vals=dfd.log2", "Invalid field modifier", 19),
        ("keys=", "Empty assignment", 5),
        ("keys=fn:sort=nosuch", "Sort field must be a key or a val", 18),
        ("keys=fn:sort=fn.up", "Invalid sort modifier", 21),
        ("keys=fn:sort=fn,fn,fn", "Too many sort fields (Max = 2)", 13),
        ("keys=fn:sort=,fn", "Empty sort field", 13),
    ],
)
def test_what_is_wrong_is_in_the_error_log(console: Console, text: str, message: str, column: int) -> None:
    """TFS-17, TFS-19: with a caret under the first place where the wrong word stands."""
    assert console.run(f"echo 'hist:{text}' > {A}/trigger") == "sh: write error: Invalid argument\n"
    first, second, third = console.run("cat error_log").splitlines()
    assert first.endswith(f"] hist:kprobes:a: error: {message}")
    assert second == f"  Command: hist:{text}" and third == " " * (11 + column) + "^"


def test_the_same_twice_is_refused(console: Console) -> None:
    """TFS-19: EEXIST; with another condition it is another one."""
    console.run(f"echo hist:keys=fn >> {A}/trigger")
    assert console.run(f"echo hist:keys=fn >> {A}/trigger") == "sh: write error: File exists\n"
    assert "Hist trigger already exists" in console.run("cat error_log")
    assert console.run(f"echo 'hist:keys=fn if dfd < 0' >> {A}/trigger") == ""
    console.run(f"echo '!hist:keys=fn' >> {A}/trigger")
    assert console.run(f"cat {A}/trigger").count("hist:") == 1


def test_a_histogram_goes_back_in_time(console: Console) -> None:
    lab = console.lab
    console.run(f"echo 'hist:keys=fn if fn ~ \"*motd\"' > {A}/trigger; cat /etc/motd; cat /etc/motd")
    fired = [event for event in lab.events() if event.kind == "trigger.fire"]
    end = rows(console)
    lab.seek(fired[-1].moment.insn)
    (trigger,) = lab.tracing.events.events["kprobes", "a"].files[0].triggers
    assert "    Hits: 1\n" in trigger.table()  # type: ignore[attr-defined]
    lab.seek_end()
    assert rows(console) == end
