"""What tracefs and debugfs show of the mechanism that serves a probe."""

import re

import pytest

from tests.tracing.tracefs.console import HEADER_LINES, Console, last_error

EVENTS = (
    "echo p:entry vfs_read > kprobe_events",
    "echo p:inside vfs_read+5 >> kprobe_events",
    "echo r:out vfs_read >> kprobe_events",
)
LIST = "/sys/kernel/debug/kprobes/list"


def listed(console: Console) -> dict[str, str]:
    """The flags of ``kprobes/list`` by the letter and the place of the probe."""
    rows = re.findall(r"^[0-9a-f]{16}  ([kr])  (\S+) +(.*)$", console.run(f"cat {LIST}"), re.MULTILINE)
    return {f"{letter} {place}": flags.strip() for letter, place, flags in rows}


def test_a_probe_that_ftrace_serves_is_marked_in_the_list() -> None:
    """TFS-15, FTR-01: as Linux 6.1 shows it, also while it is disabled."""
    console = Console(profile="distro")
    console.run(*EVENTS)
    assert listed(console) == {
        "k vfs_read+0x0": "[DISABLED][FTRACE]",
        "r vfs_read+0x0": "[DISABLED][FTRACE]",
        "k vfs_read+0x5": "[DISABLED]",
    }
    console.run("echo 1 > events/kprobes/enable")
    assert listed(console) == {
        "k vfs_read+0x0": "[FTRACE]",
        "r vfs_read+0x0": "[FTRACE]",
        "k vfs_read+0x5": "[OPTIMIZED]",
    }


@pytest.mark.parametrize(
    ("profile", "entry", "inside"),
    [("distro", ".....", "..Zff"), ("bare", "..Zff", "..Zff"), ("server", "d.Z..", "d.Z..")],
)
def test_the_context_column_betrays_the_mechanism(profile: str, entry: str, inside: str) -> None:
    """TFS-22: ftrace runs the handler as part of the task; without CONFIG_PREEMPTION no level is taken off."""
    console = Console(profile=profile)
    console.run(EVENTS[0], EVENTS[1] if profile == "distro" else "echo p:inside vfs_read+1 >> kprobe_events", EVENTS[2])
    console.run("echo 1 > events/kprobes/enable; cat /etc/motd; echo 0 > events/kprobes/enable")
    lines = console.run("cat trace").splitlines()[HEADER_LINES:]
    found = {line.split(": ")[1]: line[31:36] for line in lines}
    assert found == {"entry": entry, "inside": inside, "out": "....."}


def test_probe_events_keep_away_from_functions_that_ftrace_cannot_hook() -> None:
    """TFS-21: register_kprobe() itself would take it."""
    console = Console(profile="distro")
    answer = console.run("echo p:no __switch_to_asm > kprobe_events")
    assert "Invalid argument" in answer
    assert last_error(console.lab)[0] == "Failed to register probe event"
    console.lab.kprobe("__switch_to_asm")
    bare = Console(profile="bare")
    assert bare.run("echo p:yes __switch_to_asm > kprobe_events") == ""


@pytest.mark.parametrize("offset", [1, 3, 4])
def test_inside_the_entry_nop_is_no_boundary(offset: int) -> None:
    """FTR-05: as Linux's own selftest has it for vfs_read+3."""
    console = Console(profile="distro")
    console.run(f"echo p:no vfs_read+{offset} > kprobe_events")
    assert last_error(console.lab)[0] == "Probe point is not an instruction boundary"


@pytest.mark.parametrize("profile", ["distro", "server", "history"])
def test_a_session_goes_back_over_its_trace(profile: str) -> None:
    console = Console(profile=profile)
    lab = console.lab
    console.run("echo p:a vfs_read > kprobe_events", "echo 1 > events/kprobes/a/enable; cat /etc/motd")
    console.run("echo 0 > events/kprobes/a/enable")
    lines, events, end = console.trace(), lab.events(), lab.moment
    for event in [event for event in events if event.kind in ("trace.entry", "text.poke")]:
        lab.seek(event)
        assert lab.last_event == event
    lab.seek(end)
    assert lab.events() == events
    assert console.trace()[: len(lines)] == lines
