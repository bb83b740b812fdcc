"""Hostile lines for kprobe_events and dynamic_events: each gives one of Linux's errors and changes nothing, or can be
taken back.

``KPROBESIM_FUZZ_LINES=100000`` runs so many instead of a few hundred.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kprobesim.errors import LinuxError
from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from kprobesim.tracing.error_log import LoggedError
from kprobesim.tracing.event_filter import FILTER_ERRORS
from kprobesim.tracing.probe_events import PROBE_ERRORS

LINES = int(os.environ.get("KPROBESIM_FUZZ_LINES", "300"))
POSSIBLE = {
    Errno.EINVAL, Errno.ENOENT, Errno.EEXIST, Errno.EBUSY, Errno.E2BIG, Errno.EILSEQ, Errno.ERANGE, Errno.EOPNOTSUPP,
    Errno.EADDRNOTAVAIL, Errno.ENOMEM,
}  # fmt: skip

number = st.sampled_from(
    ["0", "1", "8", "64", "65", "4096", "0x10", "-1", "99999999999999999999", "0xffffffff81000000"]
)
name = st.sampled_from(["a", "x1", "_", "1x", "a-b", "n" * 63, "n" * 64, "common_pid", "__probe_ip", "", "é"])
symbol = st.sampled_from(["vfs_read", "do_sys_openat2", "nosuch", "mod:f", "kprobe_int3_handler", "jiffies", ""])
place = st.one_of(
    symbol,
    number,
    st.builds(
        "{}{}{}".format, symbol, st.sampled_from(["+", "-", "%", "+0x"]), st.sampled_from(["1", "4", "x", "return", ""])
    ),
)
leaf = st.one_of(
    st.sampled_from(
        ["%di", "%ax", "%rdi", "%", "$stack", "$stack5", "$stack9999", "$retval", "$comm", "$arg1", "$arg0", "$x", "$"]
    ),
    st.builds("@{}".format, st.one_of(symbol, number)),
    st.builds("\\{}".format, number),
    st.sampled_from(['\\"text"', '\\"open', "\\"]),
)
fetch = st.recursive(
    leaf,
    lambda inner: st.builds(
        "{}{}({}{}".format, st.sampled_from("+-u*"), number, inner, st.sampled_from([")", "", "))"])
    ),
    max_leaves=20,
)
kind = st.sampled_from(
    ["", ":u8", ":s32", ":x64", ":string", ":ustring", ":symstr", ":symbol", ":b4@4/8", ":b9@0/8", ":u8[3]", ":u8[0]",
     ":u8[65]", ":u8[", ":u8[2]x", ":string[2]", ":nosuch", ":"]
)  # fmt: skip
argument = st.builds("{}{}{}{}".format, name, st.sampled_from(["=", "", "=="]), fetch, kind)
head = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["p", "r", "r2", "r0", "r5000", "p3", "pxyz", "-", "x", "e", "s", ""]),
    st.sampled_from([":", "", "::"]),
    st.sampled_from(["", "g/", "g.", "/", "g-h/", "1/"]),
    name,
)
written = st.builds(
    lambda first, where, arguments, blank, tail: blank.join([first, where, *arguments]) + tail,
    head,
    place,
    st.lists(argument, max_size=4),
    st.sampled_from([" ", "  ", "\t"]),
    st.sampled_from(["", "#x", " # x", "\r"]),
)
attached = st.one_of(
    st.sampled_from(
        ["sched.sched_switch", "sched/sched_switch", "syscalls.sys_enter_openat", "raw_syscalls.sys_enter"]
    ),
    st.builds("{}{}{}".format, name, st.sampled_from([".", "/", ""]), name),
)
field = st.sampled_from(["$prev_comm", "$prev_pid", "$args", "$filename", "$COMM", "$comm", "$", "$x", "%di"])
field_fetch = st.one_of(field, st.builds("+{}({})".format, number, field), fetch)
field_argument = st.builds("{}{}{}{}".format, name, st.sampled_from(["=", "", "=="]), field_fetch, kind)
condition = st.sampled_from(
    ["", " if", " if prev_pid > 1", " if x", " if if", ' if prev_comm ~ "*a"', " if (((", " iff 1"]
)
written_eprobe = st.builds(
    lambda first, where, arguments, rest: " ".join([first, where, *arguments]) + rest,
    st.builds("{}{}{}{}".format, st.sampled_from(["e", "e", "ex"]), st.sampled_from([":", ""]), name, st.just("")),
    attached,
    st.lists(field_argument, max_size=4),
    condition,
)
anything = st.text(st.characters(max_codepoint=255, exclude_characters="\n\0"), max_size=200)
lines = st.one_of(written, written, written, anything)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield Lab.open()


def state(lab: Lab) -> tuple[object, ...]:
    """Everything that a command may change, but for the error log."""
    tracing = lab.tracing
    text = lab.kernel.symbol("_stext"), lab.kernel.symbol("_etext")
    return (
        tracing.all_dyn_events.text(),
        list(tracing.events.events),
        [(site.addr, site.flags) for site in lab.manager.kprobes.sites()],
        lab.read(text[0], text[1] - text[0]),
    )


def well_formed(entry: LoggedError, line: str) -> bool:
    known = entry.message in (*PROBE_ERRORS.values(), *FILTER_ERRORS.values())
    return known and entry.command == " ".join(line.split()) and 0 <= entry.column <= len(entry.command) + 1


@pytest.mark.timeout(120 + LINES // 10)
@settings(
    max_examples=LINES, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=LINES < 1000
)
@given(written_line=lines)
def test_a_line_is_refused_as_linux_would_or_can_be_taken_back(lab: Lab, written_line: str) -> None:
    """GRM-01 to GRM-13, TFS-17, TFS-20: the errno is one of Linux's, the log entry has a caret inside the command."""
    events = lab.tracing.dyn_events
    line = written_line.partition("#")[0]
    before, logged = state(lab), lab.tracing.events.errors.entries
    try:
        events.run_command(line)
    except LinuxError as error:
        assert error.errno in POSSIBLE
        assert state(lab) == before
        new = lab.tracing.events.errors.entries
        assert new == logged or well_formed(new[-1], line)
    else:
        events.release_all()
        assert state(lab) == before


@pytest.mark.timeout(120 + LINES // 10)
@settings(
    max_examples=LINES, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=LINES < 1000
)
@given(line=written_eprobe)
def test_a_line_for_an_event_probe_is_refused_or_can_be_enabled_and_taken_back(lab: Lab, line: str) -> None:
    """GRM-13: and what it makes can be recorded."""
    dynamic, events = lab.tracing.all_dyn_events, lab.tracing.events
    before = state(lab)
    try:
        dynamic.run_command(line)
    except LinuxError as error:
        assert error.errno in {*POSSIBLE, Errno.ENODEV}
        assert state(lab) == before
        return
    (probe,) = lab.tracing.event_probes.probes
    assert probe.event is not None
    file, source = probe.event.file(events.trace), probe.definition.attached.file(events.trace)
    events.enable(file, True)
    record = events.trace.head(source.event.id, (0, 0), 0) + bytes(200)
    assert events.wants(source.event, 0)
    events.commit(source.event, 0, record)
    with pytest.raises(LinuxError):
        dynamic.release_all()
    assert b"Unknown type" not in events.output.text()
    events.enable(file, False)
    dynamic.release_all()
    assert state(lab) == before and len(events.trace.buffers[0]) == 0
