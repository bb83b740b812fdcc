"""instances/: traces beside the first, with buffers and switches of their own.

Documentation/trace/ftrace.rst, "Instances": what is done in one trace concerns no other; events are the same in all.
"""

import pytest

from tests.tracing.tracefs.console import HEADER_LINES, Console, functions

A = "events/kprobes/a"
FOO = "instances/foo"


@pytest.fixture
def console() -> Console:
    """An event `a` at vfs_open, which is not enabled, and an instance."""
    console = Console()
    console.run("echo 'p:a vfs_open' > kprobe_events", f"mkdir {FOO}")
    return console


def records(console: Console, folder: str = ".") -> list[str]:
    return functions(console.run(f"cat {folder}/trace").splitlines()[HEADER_LINES:])


def armed(console: Console) -> bool:
    return "[DISABLED]" not in console.run("grep vfs_open /sys/kernel/debug/kprobes/list")


def test_a_new_folder_is_a_trace_with_the_files_of_one(console: Console) -> None:
    """init_tracer_tracefs: what concerns the whole kernel is in the root alone."""
    root, foo = (set(console.run(f"ls {folder}").split()) for folder in (".", FOO))
    assert foo < root
    assert root - foo == {
        "README", "available_events", "dynamic_events", "instances", "kprobe_events", "kprobe_profile",
        "saved_cmdlines", "saved_cmdlines_size", "saved_tgids", "uprobe_events", "uprobe_profile",
    }  # fmt: skip
    assert console.run(f"cat {FOO}/{A}/format {FOO}/{A}/id") == console.run(f"cat {A}/format {A}/id")
    options = [set(console.run(f"ls {folder}/options").split()) for folder in (".", FOO)]
    assert options[0] - options[1] == {"trace_printk", "printk-msg-only", "record-cmd"}


def test_an_event_is_enabled_in_one_trace_and_recorded_there_alone(console: Console) -> None:
    console.run(f"echo 1 > {FOO}/{A}/enable", "cat /etc/motd")
    assert console.run(f"cat {FOO}/{A}/enable {A}/enable {FOO}/set_event set_event") == "1\n0\nkprobes:a\n"
    assert records(console, FOO) and not records(console)
    told = [event for event in console.lab.events() if event.kind == "event.enable"]
    assert [event.fields for event in told] == [{"event": "kprobes:a", "instance": "foo"}]


def test_a_probe_is_armed_until_the_last_trace_has_switched_it_off(console: Console) -> None:
    console.run(f"echo 1 > {FOO}/{A}/enable; echo 1 > {A}/enable; echo 0 > {FOO}/{A}/enable")
    assert armed(console)
    before = len(records(console, FOO))
    console.run("cat /etc/motd")
    assert records(console) and len(records(console, FOO)) == before
    console.run(f"echo 0 > {A}/enable")
    assert not armed(console)


def test_filters_triggers_and_histograms_belong_to_one_trace(console: Console) -> None:
    console.run("echo 'p:b vfs_read n=%dx' >> kprobe_events", f"echo 'common_pid == 1' > {FOO}/{A}/filter")
    console.run(f"echo 1 > {A}/enable; echo 1 > {FOO}/{A}/enable", "cat /etc/motd")
    assert records(console) and not records(console, FOO)
    console.run(f"echo 'hist:keys=n' > {FOO}/events/kprobes/b/trigger", "cat /etc/motd")
    assert "Hits: " in console.run(f"cat {FOO}/events/kprobes/b/hist")
    assert console.run("cat events/kprobes/b/hist") == ""
    console.run(f"echo traceoff > {FOO}/events/kprobes/b/trigger", "cat /etc/motd")
    assert console.run(f"cat {FOO}/tracing_on tracing_on") == "0\n1\n"


def test_a_trigger_switches_the_other_event_of_its_own_trace(console: Console) -> None:
    console.run("echo 'p:b vfs_read' >> kprobe_events")
    console.run(f"echo enable_event:kprobes:b > {FOO}/{A}/trigger", "cat /etc/motd")
    assert console.run(f"cat {FOO}/events/kprobes/b/enable events/kprobes/b/enable") == "1*\n0\n"
    assert all(text.startswith("b: ") for text in records(console, FOO)) and not records(console)


def test_sizes_options_switches_and_marks_belong_to_one_trace(console: Console) -> None:
    console.run(f"echo 64 > {FOO}/buffer_size_kb; echo 1 > {FOO}/options/stacktrace; echo mono > {FOO}/trace_clock")
    assert console.run(f"cat {FOO}/buffer_size_kb {FOO}/options/stacktrace options/stacktrace") == "64\n1\n0\n"
    assert "[mono]" in console.run(f"cat {FOO}/trace_clock") and "[local]" in console.run("cat trace_clock")
    console.run(f"echo here > {FOO}/trace_marker")
    assert records(console, FOO)[0] == "tracing_mark_write: here" and not records(console)
    console.run(f"echo 0 > {FOO}/tracing_on")
    assert console.run(f"cat {FOO}/tracing_on tracing_on") == "0\n1\n"


def test_an_instance_begins_with_the_options_of_the_first_trace_and_full_buffers(console: Console) -> None:
    """trace_array_create."""
    console.run("echo sym-offset > trace_options; echo event-fork > trace_options; mkdir instances/bar")
    assert console.run("cat instances/bar/options/sym-offset instances/bar/options/event-fork") == "1\n0\n"
    assert console.run("cat instances/bar/buffer_size_kb") == "1408\n"


def test_wrong_filters_are_told_in_the_error_log_of_their_trace(console: Console) -> None:
    console.run(f"echo 'nosuch == 1' > {FOO}/{A}/filter")
    assert "Field not found" in console.run(f"cat {FOO}/error_log") and console.run("cat error_log") == ""


def test_names_of_tasks_are_known_in_all_traces(console: Console) -> None:
    console.run(f"echo 1 > {FOO}/{A}/enable", "cat /etc/motd")
    line = console.run(f"cat {FOO}/trace").splitlines()[HEADER_LINES]
    name, pid = line.split()[0].rsplit("-", 1)
    assert f"{pid} {name}\n" in console.run("cat saved_cmdlines")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"mkdir {FOO}", f"mkdir: {FOO}: File exists\n"),
        ("mkdir events/mine", "mkdir: events/mine: Operation not permitted\n"),
        ("mkdir /proc/mine", "mkdir: /proc/mine: Operation not permitted\n"),
        ("rmdir events", "rmdir: events: Operation not permitted\n"),
        (f"rmdir {FOO}/events", f"rmdir: {FOO}/events: Operation not permitted\n"),
        ("rmdir instances/nosuch", "rmdir: instances/nosuch: No such file or directory\n"),
    ],
)
def test_folders_are_made_and_removed_in_instances_alone(console: Console, command: str, said: str) -> None:
    """tracefs_syscall_mkdir, tracefs_syscall_rmdir."""
    assert console.run(command) == said
    assert console.run("ls instances") == "foo\n"


def test_a_removed_instance_switches_its_events_off(console: Console) -> None:
    """__remove_instance, event_trace_del_tracer."""
    console.run(f"echo 1 > {FOO}/{A}/enable; echo stacktrace > {FOO}/{A}/trigger")
    assert armed(console)
    assert console.run(f"rmdir {FOO}; ls instances") == ""
    assert not armed(console)
    assert console.run("echo > kprobe_events; cat kprobe_events") == ""
    console.run(f"mkdir {FOO}")
    assert not records(console, FOO)


def test_an_instance_with_an_open_file_stays(console: Console) -> None:
    """__remove_instance: EBUSY, whichever path the file was opened by."""
    path = "/sys/kernel/debug/tracing/instances/foo/trace_pipe"
    assert console.run(f"cat {path} & sleep 0.01; rmdir {FOO}") == f"rmdir: {FOO}: Device or resource busy\n"
    assert console.run("ls instances") == "foo\n"


def test_events_that_come_later_are_in_every_trace_and_go_from_every_trace(console: Console) -> None:
    """__add_event_to_tracers, probe_remove_event_call."""
    console.run("echo 'p:b vfs_read' >> kprobe_events", f"echo 1 > {FOO}/events/kprobes/b/enable")
    assert console.run("echo '-:b' >> kprobe_events") == "sh: write error: Device or resource busy\n"
    console.run("cat /etc/motd", f"echo 0 > {FOO}/events/kprobes/b/enable", "echo mark > trace_marker")
    assert len(records(console, FOO)) > 1
    console.run("echo '-:b' >> kprobe_events")
    assert console.run(f"ls {FOO}/events/kprobes") == console.run("ls events/kprobes") == "a\nenable\nfilter\n"
    # A record of an event that is gone could not be read: the traces that had it enabled are emptied, no other.
    assert not records(console, FOO) and records(console) == ["tracing_mark_write: mark"]


def test_a_reader_of_an_instances_pipe_is_woken(console: Console) -> None:
    console.run(f"echo 1 > {FOO}/{A}/enable; head -n 1 {FOO}/trace_pipe > /tmp/line &", "cat /etc/motd", "sleep 0.01")
    assert ": a: (vfs_open" in console.run("cat /tmp/line")


def test_going_back_before_an_instance_was_made_and_forward_again(console: Console) -> None:
    lab = console.lab
    console.run(f"echo 1 > {FOO}/{A}/enable", "cat /etc/motd")
    end, shown = lab.machine.retired, lab.tracing.events.output_of(lab.tracing.events.instances["foo"]).text()
    made = next(event for event in lab.events() if event.kind == "trace.instance")
    lab.seek(made.moment.insn - 1)
    assert not lab.tracing.events.instances
    lab.seek(end)
    assert lab.tracing.events.output_of(lab.tracing.events.instances["foo"]).text() == shown
    assert console.run(f"rmdir {FOO}; ls instances") == "" and not armed(console)
