"""uprobe_events: the command language, its errors, formats, lines of the trace, lifetimes."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.errors import LinuxError
from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from kprobesim.tracing.probe_events import PROBE_ERRORS
from tests.kprobes.programs import Program
from tests.lab.experiment import state_of
from tests.tracing.tracefs.console import Console, functions, last_error


@pytest.fixture(scope="module")
def lab() -> Lab:
    lab = Lab.open()
    lab.run()
    return lab


def define(lab: Lab, command: str) -> LinuxError | None:
    """Give a command to uprobe_events, past the guest; what it is refused with, if it is."""
    try:
        lab.tracing.uprobe_events.run_command(command)
    except LinuxError as error:
        return error
    return None


def listed(lab: Lab) -> list[str]:
    return [probe.show().rstrip("\n") for probe in lab.tracing.uprobe_events.probes]


@pytest.fixture(autouse=True)
def cleared(lab: Lab) -> None:
    lab.tracing.uprobe_events.release_all()
    lab.tracing.events.errors.clear()


def test_commands_as_they_are_listed(lab: Lab) -> None:
    commands = {
        "p:a /bin/cat:0x1080": "p:uprobes/a /bin/cat:0x0000000000001080",
        "p:grp/b /bin/cat:4224 x=%di": "p:grp/b /bin/cat:0x0000000000001080 x=%di",
        "r:c /bin/cat:0x1080 $retval": "r:uprobes/c /bin/cat:0x0000000000001080 arg1=$retval",
        "p:d /bin/cat:0x1080%return": "r:uprobes/d /bin/cat:0x0000000000001080",
        "p /bin/../bin/./cat:0x1081": "p:uprobes/p_cat_0x1081 /bin/../bin/./cat:0x0000000000001081",
        "r /bin/cat:0x1082": "r:uprobes/p_cat_0x1082 /bin/cat:0x0000000000001082",
        "p:e\xa0/bin/cat:0x1083": "p:uprobes/e /bin/cat:0x0000000000001083",
    }
    for command in commands:
        assert define(lab, command) is None, command
    assert listed(lab) == list(commands.values())


@pytest.mark.parametrize(
    ("command", "code", "column", "errno"),
    [
        ("p:x /bin/nope:0x10", "FILE_NOT_FOUND", 4, Errno.ENOENT),
        ("p:x /bin/cat/x:0x10", "FILE_NOT_FOUND", 4, Errno.ENOTDIR),
        ("p:x /bin:0x10", "NO_REGULAR_FILE", 4, Errno.EINVAL),
        ("p:x /bin/cat:0x10(0x20", "REFCNT_OPEN_BRACE", 22, Errno.EINVAL),
        ("p:x /bin/cat:0x10(0x20)y", "BAD_REFCNT_SUFFIX", 23, Errno.EINVAL),
        ("p:x /bin/cat:0x10(zz)", "BAD_REFCNT", 18, Errno.EINVAL),
        ("p:x /bin/cat:0x10%re", "BAD_ADDR_SUFFIX", 17, Errno.EINVAL),
        ("p:x /bin/cat:1x0", "BAD_UPROBE_OFFS", 13, Errno.EINVAL),
        ("p:/x /bin/cat:0x10", "NO_GROUP_NAME", 2, Errno.EINVAL),
        ("p:1x /bin/cat:0x10", "BAD_EVENT_NAME", 2, Errno.EINVAL),
        ("p:x /bin/cat:0x10 $arg1", "BAD_VAR", 18, Errno.EINVAL),
        ("p:x /bin/cat:0x10 $retval", "RETVAL_ON_PROBE", 18, Errno.EINVAL),
        ("p:x /bin/cat:0x10 @vfs_read", "SYM_ON_UPROBE", 18, Errno.EINVAL),
        ("p:x /bin/cat:0x10 @+zz", "BAD_FILE_OFFS", 18, Errno.EINVAL),
        ("p:sched/sched_switch /bin/cat:0x10", "EVENT_EXIST", 0, Errno.EEXIST),
    ],
)
def test_errors_and_where_they_point(lab: Lab, command: str, code: str, column: int, errno: Errno) -> None:
    """Rows of the error table that only uprobe_events can reach, and some it shares."""
    error = define(lab, command)
    assert error is not None and error.errno is errno
    assert last_error(lab) == (PROBE_ERRORS[code], column)
    assert listed(lab) == []


@pytest.mark.parametrize(
    "command", ["p", "p:x", "q:x /bin/cat:0x10", "p:x vfs_read", "p:x /bin/cat", "p:x /bin/cat:zz"]
)
def test_what_is_no_uprobe_at_all_leaves_no_entry(lab: Lab, command: str) -> None:
    """GRM-13: EINVAL alone."""
    error = define(lab, command)
    assert error is not None and error.errno is Errno.EINVAL
    assert lab.tracing.events.errors.text() == ""


def test_siblings_must_fit(lab: Lab) -> None:
    assert define(lab, "p:x /bin/cat:0x1080 a=%di") is None
    assert define(lab, "p:x /bin/cat:0x1090 a=%si") is None
    for command, code in (
        ("r:x /bin/cat:0x1080 a=%di", "DIFF_PROBE_TYPE"),
        ("p:x /bin/cat:0x1080 b=%di", "DIFF_ARG_TYPE"),
        ("p:x /bin/cat:0x1080 a=%di", "SAME_PROBE"),
    ):
        error = define(lab, command)
        assert error is not None and error.errno is Errno.EEXIST
        assert last_error(lab)[0] == PROBE_ERRORS[code]
    assert define(lab, "-:x /bin/cat:0x0000000000001090") is None
    assert listed(lab) == ["p:uprobes/x /bin/cat:0x0000000000001080 a=%di"]
    assert define(lab, "-:uprobes/x") is None
    error = define(lab, "-:uprobes/x")
    assert error is not None and error.errno is Errno.ENOENT


@settings(max_examples=150, deadline=None)
@given(
    st.text("pr-:/", max_size=4),
    st.sampled_from(["/bin/cat", "/bin", "/", "x/y", "/bin/cat:1", ""]),
    st.text("0x1f8(%)return: ", max_size=12),
    st.text('ab=%dis+-0(@$)retvlomc1:3264x[]\\"', max_size=20),
)
def test_a_malformed_command_gives_an_errno_and_changes_nothing(head: str, path: str, tail: str, arg: str) -> None:
    booted = shared()
    events = booted.tracing.uprobe_events
    before = [probe.show() for probe in events.probes]
    if define(booted, f"{head} {path}:{tail} {arg}") is None:
        events.release_all()
        return
    assert [probe.show() for probe in events.probes] == before


_SHARED: list[Lab] = []


def shared() -> Lab:
    if not _SHARED:
        _SHARED.append(Lab.open())
    return _SHARED[0]


# On the machine


def test_lines_of_the_trace() -> None:
    """Task context with interrupts on: one preempt level is taken off that was never added, so DNZff (TFS-22)."""
    console = Console()
    cat = Program(console.lab.manager.uprobes, "/bin/cat")
    main, ip = cat["main"], cat["main"] + cat.distance
    defined = console.run(
        f"echo 'p:in /bin/cat:{main:#x} n=%di:s32 a=+0(+8(%si)):string w=$stack0 c=$comm' > uprobe_events",
        f"echo 'r:out /bin/cat:{main:#x} ret=$retval:s32' >> uprobe_events",
        f"echo 'p:nop /bin/cat:{main + 1:#x} code=@+{main:#x}:x8[2] far=+0(@+{main:#x}):x8' >> uprobe_events",
        "echo 1 > events/uprobes/enable",
    )
    assert defined == ""
    console.run("cat /etc/hostname", "cat /nope")
    assert console.run("echo > uprobe_events") == "sh: uprobe_events: Device or resource busy\n"
    console.run("echo 0 > events/uprobes/enable")
    lines = console.trace()
    back = re.search(r"w=(0x[0-9a-f]+)", lines[0])
    assert back is not None
    first, second = ([f for f in functions(lines) if f.startswith("in")]), [f for f in functions(lines) if "out" in f]
    assert first == [
        f'in: ({ip:#x}) n=2 a="/etc/hostname" w={back[1]} c="cat"',
        f'in: ({ip:#x}) n=2 a="/nope" w={back[1]} c="cat"',
    ]
    assert second == [f"out: ({back[1]} <- {ip:#x}) ret=0", f"out: ({back[1]} <- {ip:#x}) ret=1"]
    # The process's own page is what is read, so the first byte is the int3 of the event before.
    assert f"nop: ({ip + 1:#x}) code={{0xcc,0xcc}} far=0x0" in functions(lines)
    assert all(" DNZff " in line for line in lines)
    profile = [line.split() for line in console.run("cat uprobe_profile").splitlines()]
    assert profile == [["/bin/cat", "in", "2"], ["/bin/cat", "out", "2"], ["/bin/cat", "nop", "2"]]
    assert console.run("echo > uprobe_events", "cat uprobe_events") == ""
    assert not list(console.lab.manager.uprobes)


def test_a_deletion_that_is_refused_midway_empties_the_trace_all_the_same() -> None:
    """TFS-06: the records of what is gone by then could not be read any more."""
    console = Console()
    main = Program(console.lab.manager.uprobes, "/bin/cat")["main"]
    console.run(
        f"echo 'p:g/a /bin/cat:{main:#x}' > uprobe_events",
        f"echo 'p:g/b /bin/cat:{main:#x}' >> uprobe_events",
        "echo 1 > events/g/enable",
        "cat /etc/hostname",
        "echo 0 > events/g/a/enable",
    )
    text = console.lab.tracing.events.output.text
    assert b" a: (" in text() and b" b: (" in text()
    assert console.run("echo '-:g/' >> uprobe_events") == "sh: write error: Device or resource busy\n"
    assert [probe.definition.event for probe in console.lab.tracing.uprobe_events.probes] == ["b"]
    assert b": (0x" not in text()


def test_format_of_a_return_probe() -> None:
    console = Console()
    console.run("echo 'r:back /bin/cat:0x1080 ret=$retval' > uprobe_events")
    text = console.run("cat events/uprobes/back/format")
    assert text.endswith(
        "\tfield:unsigned long __probe_func;\toffset:8;\tsize:8;\tsigned:0;\n"
        "\tfield:unsigned long __probe_ret_ip;\toffset:16;\tsize:8;\tsigned:0;\n"
        "\tfield:u64 ret;\toffset:24;\tsize:8;\tsigned:0;\n"
        '\nprint fmt: "(%lx <- %lx) ret=0x%Lx", REC->__probe_func, REC->__probe_ret_ip, REC->ret\n'
    )


def test_a_filter_keeps_records() -> None:
    console = Console()
    main = Program(console.lab.manager.uprobes, "/bin/cat")["main"]
    console.run(
        f"echo 'r:out /bin/cat:{main:#x} ret=$retval:s32' > uprobe_events",
        "echo 'ret != 0' > events/uprobes/out/filter",
        "echo 1 > events/uprobes/out/enable",
        "cat /etc/hostname",
        "cat /nope",
        "echo 0 > events/uprobes/out/enable",
    )
    assert [line.split()[-1] for line in console.trace()] == ["ret=1"]


def test_an_instruction_that_is_not_stepped_is_refused_when_the_event_is_switched_on() -> None:
    """Defined it can be: nobody has looked at it yet. A file that no process runs is not looked at even then."""
    console = Console()
    init = Program(console.lab.manager.uprobes, "/init")
    place = next(i.address for f in init.functions for i in init.instructions(f) if i.mnemonic == "syscall")
    assert console.run(f"echo 'p:x /init:{place:#x}' > uprobe_events") == ""
    assert console.run("echo 1 > events/uprobes/x/enable") == "sh: write error: Unknown error 524\n"
    assert console.run("cat events/uprobes/x/enable") == "0\n"
    cat = Program(console.lab.manager.uprobes, "/bin/cat")
    place = next(i.address for f in cat.functions for i in cat.instructions(f) if i.mnemonic == "syscall")
    assert console.run(f"echo 'p:y /bin/cat:{place:#x}' >> uprobe_events", "echo 1 > events/uprobes/y/enable") == ""
    assert console.run("cat /etc/hostname") == "toyix\n"


def test_going_back_over_definition_and_hits_finds_the_same_states() -> None:
    lab = Lab.open()
    main = Program(lab.manager.uprobes, "/bin/cat")["main"]
    for command in (
        f"echo 'p:in /bin/cat:{main:#x} a=+0(+8(%si)):string' > /sys/kernel/tracing/uprobe_events",
        "echo 1 > /sys/kernel/tracing/events/uprobes/enable",
        "cat /etc/hostname",
        "echo 0 > /sys/kernel/tracing/events/uprobes/enable",
    ):
        lab.type(command)
    lab.run()
    kinds = ("event.define", "event.enable", "uprobe.install", "uprobe.hit", "trace.entry", "event.disable")
    moments = [event.moment for event in lab.events() if event.kind in kinds]
    assert len(moments) >= 6

    def visit() -> list[object]:
        states: list[object] = []
        for moment in moments:
            lab.seek(moment)
            events = lab.tracing.uprobe_events
            shown = [(probe.show(), probe.nhit, probe.event and probe.event.enabled) for probe in events.probes]
            states.append((state_of(lab), shown))
        return states

    forward = visit()
    lab.seek(lab.start)
    assert lab.tracing.uprobe_events.probes == []
    assert visit() == forward
