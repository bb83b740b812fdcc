"""Triggers: what a hit sets off besides a record (TFS-19)."""

import pytest

from tests.tracing.tracefs.console import Console, functions

EVENTS = "events/kprobes"


@pytest.fixture
def console() -> Console:
    """Two events: `a` at vfs_open, `b` at vfs_read."""
    console = Console()
    console.run("echo 'p:a vfs_open' > kprobe_events", "echo 'p:b vfs_read n=%dx' >> kprobe_events")
    return console


def trigger(console: Console, event: str) -> str:
    return console.run(f"cat {EVENTS}/{event}/trigger")


def test_without_triggers_the_file_lists_what_there_could_be(console: Console) -> None:
    """TFS-19."""
    assert trigger(console, "a") == (
        "# Available triggers:\n"
        "# traceon traceoff snapshot stacktrace enable_event disable_event enable_hist disable_hist hist\n"
    )


def test_a_trigger_switches_the_source_on_and_shows_a_star(console: Console) -> None:
    """TFS-08, TFS-19: soft mode: the probe is armed, no records are written."""
    console.run(f"echo traceoff:2 > {EVENTS}/a/trigger")
    assert console.run(f"cat {EVENTS}/a/enable {EVENTS}/enable") == "0*\nX\n"
    assert "[DISABLED]" not in console.run("grep vfs_open /sys/kernel/debug/kprobes/list")
    assert not console.trace()
    console.run("echo 1 > tracing_on", f"echo 1 > {EVENTS}/a/enable")
    assert console.run(f"cat {EVENTS}/a/enable") == "1*\n"
    console.run(f"echo '!traceoff:0' > {EVENTS}/a/trigger", f"echo 0 > {EVENTS}/a/enable")
    assert console.run(f"cat {EVENTS}/a/enable") == "0\n"
    assert "[DISABLED]" in console.run("grep vfs_open /sys/kernel/debug/kprobes/list")


def test_traceoff_counts_only_when_it_switches(console: Console) -> None:
    """TFS-19."""
    console.run(f"echo traceoff:2 > {EVENTS}/a/trigger; cat /etc/motd; cat /etc/motd")
    assert console.run("cat tracing_on") == "0\n"
    assert trigger(console, "a") == "traceoff:count=1\n"
    console.run("echo 1 > tracing_on")
    assert console.run("cat tracing_on") == "0\n" and trigger(console, "a") == "traceoff:count=0\n"
    console.run("echo 1 > tracing_on")
    assert console.run("cat tracing_on") == "1\n"


def test_traceoff_comes_after_the_record_and_traceon_before(console: Console) -> None:
    """TFS-19: traceoff is a post trigger."""
    console.run(f"echo 0 > tracing_on; echo traceon:1 > {EVENTS}/a/trigger; echo 1 > {EVENTS}/a/enable")
    assert functions(console.trace())[0].startswith("a: (vfs_open")
    console.run(f"echo '!traceon' > {EVENTS}/a/trigger; echo > trace; echo traceoff > {EVENTS}/a/trigger")
    console.run("cat /etc/motd")
    assert functions(console.trace())[-1].startswith("a: (vfs_open") and console.run("cat tracing_on") == "0\n"


def test_two_of_a_kind_are_refused_and_others_stand_newest_first(console: Console) -> None:
    """TFS-19: traceon and traceoff are of one kind."""
    console.run(f"echo traceon > {EVENTS}/a/trigger")
    assert console.run(f"echo traceoff > {EVENTS}/a/trigger") == "sh: write error: File exists\n"
    console.run(f"echo 'stacktrace:5 if common_pid > 0' >> {EVENTS}/a/trigger", f"echo snapshot > {EVENTS}/a/trigger")
    shown = trigger(console, "a").splitlines()
    assert shown[0] == "snapshot:unlimited" and shown[2] == "traceon:unlimited"
    assert shown[1].startswith("stacktrace:count=") and shown[1].endswith(" if common_pid > 0")


@pytest.mark.parametrize(
    "command",
    ["nosuch", "traceoff:x", "traceoff iff x", "traceoff if", "enable_event", "enable_event:kprobes",
     "enable_event:kprobes:nosuch", "traceoff:1 if nosuch == 1", "hist", "hist:vals=n"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_changes_nothing(console: Console, command: str) -> None:
    """TFS-19; a wrong condition is not in error_log, as in Linux."""
    assert console.run(f"echo '{command}' > {EVENTS}/b/trigger") == "sh: write error: Invalid argument\n"
    assert trigger(console, "b").startswith("# Available") and console.run("cat error_log") == ""
    assert console.run(f"cat {EVENTS}/b/enable") == "0\n"


def test_removing_what_is_not_there_is_no_error(console: Console) -> None:
    """TFS-19."""
    assert console.run(f"echo '!traceoff' > {EVENTS}/a/trigger") == ""


def test_stacktrace_writes_the_callers_after_each_record(console: Console) -> None:
    """TFS-19: through the breakpoint to the caller of a function that has made no frame yet."""
    console.run(f"echo stacktrace:1 > {EVENTS}/b/trigger; echo 1 > {EVENTS}/b/enable; cat /etc/motd")
    console.run(f"echo 0 > {EVENTS}/b/enable")
    text = console.run("cat trace")
    assert "<stack trace>\n" in text
    callers = [line.removeprefix(" => ") for line in text.splitlines() if line.startswith(" => ")]
    assert callers[-4:-1] == ["ksys_read", "__x64_sys_read", "do_syscall_64"]
    assert callers[callers.index("vfs_read") - 1] == "asm_exc_int3"


def test_stacktrace_of_a_return_probe_shows_the_real_return_address() -> None:
    """KRP-10: the trampoline on the stack is replaced by where it will return to."""
    console = Console()
    console.run("echo r:out ksys_read > kprobe_events", "echo p:deep vfs_read >> kprobe_events")
    console.run("echo stacktrace > events/kprobes/deep/trigger; echo 1 > events/kprobes/enable; cat /etc/motd")
    callers = [line for line in console.run("cat trace").splitlines() if line.startswith(" => ")]
    assert callers[callers.index(" => vfs_read") + 1 :][:2] == [" => ksys_read", " => __x64_sys_read"]
    assert not any("trampoline" in caller for caller in callers)


def test_an_event_enables_and_disables_another(console: Console) -> None:
    """TFS-19: the other event is in soft mode until its switch comes."""
    console.run(f"echo enable_event:kprobes:b:1 > {EVENTS}/a/trigger")
    assert console.run(f"cat {EVENTS}/b/enable") == "1*\n", "the cat's own open has switched it on"
    assert trigger(console, "a") == "enable_event:kprobes:b:count=0\n"
    assert any(": b: (vfs_read" in line for line in console.trace())
    assert console.run("echo -:b >> kprobe_events") == "sh: write error: Device or resource busy\n"
    console.run(f"echo '!enable_event:kprobes:b' > {EVENTS}/a/trigger")
    assert console.run(f"cat {EVENTS}/b/enable") == "1\n", "it stays as the trigger has left it"


def test_a_condition_decides(console: Console) -> None:
    """TFS-19: a trigger's condition is looked up in the record of its own event."""
    console.run(f"echo 'traceoff if n == 12345' > {EVENTS}/b/trigger; cat /etc/motd")
    assert console.run("cat tracing_on") == "1\n"
    console.run(f"echo '!traceoff' > {EVENTS}/b/trigger; echo 'traceoff if n == 4096' > {EVENTS}/b/trigger")
    console.run("cat /etc/motd")
    assert console.run("cat tracing_on") == "0\n"
    assert trigger(console, "b") == "traceoff:unlimited if n == 4096\n"


def test_a_snapshot_changes_places_with_the_buffer(console: Console) -> None:
    """TFS-19: snapshot as a trigger, and the file snapshot."""
    assert "# * Snapshot is freed *" in console.run("cat snapshot")
    console.run(f"echo 1 > {EVENTS}/b/enable; cat /etc/motd; echo 0 > {EVENTS}/b/enable")
    before = console.trace()
    console.run("echo 1 > snapshot")
    assert not console.trace() and console.run("cat snapshot").splitlines()[12:] == before
    console.run(f"echo snapshot:1 > {EVENTS}/a/trigger; cat /etc/motd")
    assert console.trace() == before
    console.run("echo 0 > snapshot")
    assert "# * Snapshot is freed *" in console.run("cat snapshot")


def test_going_back_before_a_trigger_went_off(console: Console) -> None:
    lab = console.lab
    console.run(f"echo traceoff:3 > {EVENTS}/a/trigger")
    assert not [event for event in lab.events() if event.kind == "trigger.fire"]
    console.run("cat /etc/motd")
    fired = next(event for event in lab.events() if event.kind == "trigger.fire")
    assert fired.fields["trigger"] == "traceoff:count=2"
    lab.seek(fired.moment.insn)
    went_off_before = not lab.tracing.events.trace.tracing_on
    lab.seek_end()
    assert not went_off_before and console.run("cat tracing_on") == "0\n"
    assert trigger(console, "a") == "traceoff:count=2\n"
