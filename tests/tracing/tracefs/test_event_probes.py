"""Event probes: events made of other events' records (GRM-13; Documentation/trace/eprobetrace.rst)."""

import pytest

from tests.tracing.tracefs.console import Console, functions

OPENED = "e:opened syscalls.sys_enter_openat name=+0($filename):ustring flags=$flags"


@pytest.fixture
def console() -> Console:
    return Console()


def define(console: Console, command: str) -> str:
    return console.run(f"echo '{command}' >> dynamic_events")


def log(console: Console) -> list[str]:
    """What error_log says of each refusal."""
    return [line.rpartition("error: ")[2] for line in console.run("cat error_log").splitlines() if "error: " in line]


def records(console: Console) -> list[str]:
    return functions(console.trace())


def test_a_pointer_in_the_other_events_record_is_followed(console: Console) -> None:
    """The example of eprobetrace.rst: the name of a file that is opened."""
    assert define(console, OPENED) == ""
    assert console.run("cat dynamic_events") == (
        "e:eprobes/opened syscalls.sys_enter_openat name=+0($filename):ustring flags=$flags\n"
    )
    console.run("echo 1 > events/eprobes/opened/enable", "cat /etc/motd")
    assert 'opened: (syscalls.sys_enter_openat) name="/etc/motd" flags=0x0' in records(console)


def test_the_other_event_is_on_but_writes_nothing(console: Console) -> None:
    """enable_eprobe: a trigger that no trigger file shows."""
    define(console, OPENED)
    console.run("echo 1 > events/eprobes/opened/enable", "cat /etc/motd")
    source = "events/syscalls/sys_enter_openat"
    assert console.run(f"cat {source}/enable {source}/trigger").splitlines()[:2] == ["0*", "# Available triggers:"]
    assert not any(text.startswith("sys_openat(") for text in records(console))
    console.run("echo 0 > events/eprobes/opened/enable")
    assert console.run(f"cat {source}/enable") == "0\n"
    assert not console.lab.manager.kprobes.jump_labels.static_key_count(
        console.lab.tracing.kernel_events.tracepoints.find("sys_enter").key
    )


def test_fields_have_the_types_they_are_given(console: Console) -> None:
    """A text needs :string, a number is hexadecimal unless it is told otherwise, negative ones keep their sign."""
    define(console, "e:away sched.sched_switch who=$prev_comm:string pid=$next_pid:s32 prio=$prev_prio")
    define(console, "e:failed syscalls.sys_exit_openat ret=$ret:s64 raw=$ret if ret < 0")
    console.run("echo 1 > events/eprobes/enable", "cat /nope")
    shown = records(console)
    assert 'away: (sched.sched_switch) who="cat"' in "\n".join(shown)
    assert any(text.startswith("away:") and text.endswith("prio=0x78") for text in shown)
    assert "failed: (syscalls.sys_exit_openat) ret=-2 raw=0xfffffffffffffffe" in shown


def test_the_task_is_known_where_no_field_has_that_name(console: Console) -> None:
    """trace_eprobe_tp_arg_update: $comm, unless the event has such a field."""
    define(console, "e:o syscalls.sys_enter_openat who=$comm:string")
    define(console, "e:f sched.sched_process_exit who=$comm:string")
    console.run("echo 1 > events/eprobes/enable", "cat /etc/motd")
    assert {'o: (syscalls.sys_enter_openat) who="cat"', 'f: (sched.sched_process_exit) who="cat"'} <= set(
        records(console)
    )


def test_addresses_and_symbols_can_be_arguments_too(console: Console) -> None:
    """traceprobe_update_arg; a text in the record has no address here, so that one behind it cannot be read."""
    jiffies = console.lab.kernel.symbol("jiffies")
    define(console, f"e:f sched.sched_process_exit a=@jiffies b=@0x{jiffies:x} c=\\7 d=+8(+0($comm)):string")
    console.run("echo 1 > events/eprobes/f/enable", "cat /etc/motd")
    words = dict(word.split("=", 1) for word in records(console)[0].split()[2:])
    assert words["a"] == words["b"] != "0x0" and (words["c"], words["d"]) == ("0x7", "(fault)")
    assert define(console, "e:g sched.sched_switch a=@nosuch_symbol") == "sh: write error: No such file or directory\n"
    assert log(console) == []


def test_a_filter_behind_if_is_for_the_other_events_records(console: Console) -> None:
    define(console, "e:reads syscalls.sys_enter_read fd=$fd:u8 if count == 777")
    console.run(
        "echo 1 > events/eprobes/reads/enable", "cat /etc/motd; dd if=/etc/motd of=/dev/null bs=777 status=none"
    )
    shown = records(console)
    assert shown and all(text.startswith("reads: (syscalls.sys_enter_read) fd=") for text in shown)


def test_the_new_event_has_filters_triggers_and_a_format_of_its_own(console: Console) -> None:
    define(console, OPENED)
    folder = "events/eprobes/opened"
    shown = console.run(f"cat {folder}/format")
    assert "\tfield:__data_loc char[] name;\toffset:8;\tsize:4;\tsigned:1;\n" in shown
    assert "\tfield:u64 flags;\toffset:12;\tsize:8;\tsigned:0;\n" in shown
    assert 'print fmt: " name=\\"%s\\" flags=0x%Lx", __get_str(name), REC->flags\n' in shown
    console.run(f"echo 'hist:keys=name' > {folder}/trigger; echo 'name ~ \"*motd\"' > {folder}/filter")
    console.run(f"echo 1 > {folder}/enable", "cat /etc/motd", "cat /etc/passwd", f"echo 0 > {folder}/enable")
    assert [text.split('"')[1] for text in records(console)] == ["/etc/motd"]
    assert "/etc/passwd" in console.run(f"cat {folder}/hist")


def test_an_event_without_a_name_takes_the_other_ones(console: Console) -> None:
    define(console, "e sched.sched_process_exit")
    define(console, "e:mine/ sched/sched_process_exit")
    assert console.run("cat dynamic_events") == (
        "e:eprobes/sched_process_exit sched.sched_process_exit\ne:mine/sched_process_exit sched.sched_process_exit\n"
    )
    assert "e:" not in console.run("cat kprobe_events")


@pytest.mark.parametrize(
    ("command", "errno", "said"),
    [
        ("e:x sched_switch", "Invalid argument", ["This requires both group and event name to attach"]),
        ("e:x sched.nosuch", "No such device", ["Attached event does not exist"]),
        ("e:x kprobes.p", "No such device", ["Attached event does not exist"]),
        ("e:x sched.sched_switch a=$nosuch", "No such file or directory", ["Attached event does not have this field"]),
        ("e:x sched.sched_switch if", "Invalid argument", ["No filter rule after 'if'"]),
        ("e:x sched.sched_switch if nosuch == 1", "Invalid argument", ["Field not found"]),
        ("e:x sched.sched_switch a=%ax", "Invalid argument",
         ["Invalid $-variable specified", "Invalid fetch argument"]),
        ("e:x 1.y", "Invalid argument", [
            "Group name must follow the same rules as C identifiers",
            "This requires both group and event name to attach",
        ]),
        ("e:kprobes/p sched.sched_switch", "File exists",
         ["Given group/event name is already used by another event"]),
        ("e:x", "Invalid argument", []),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_linuxs_words(
    console: Console, command: str, errno: str, said: list[str]
) -> None:
    """Errors 56 to 59 of the reference's list; %ax is logged twice, as in Linux."""
    console.run("echo 'p:p vfs_open' > kprobe_events")
    assert define(console, command) == f"sh: write error: {errno}\n"
    assert log(console) == said
    assert console.run("cat dynamic_events") == "p:kprobes/p vfs_open\n"


def test_dynamic_events_lists_and_removes_probes_of_all_sorts_in_their_order(console: Console) -> None:
    """GRM-13: create_dyn_event, dyn_event_release."""
    define(console, "p:one vfs_open")
    define(console, "e:two sched.sched_switch")
    define(console, "p:three /bin/cat:0x1000")
    assert [line.split()[0] for line in console.run("cat dynamic_events").splitlines()] == [
        "p:kprobes/one", "e:eprobes/two", "p:uprobes/three",
    ]  # fmt: skip
    assert console.run("cat kprobe_events uprobe_events | wc -l").strip() == "2"
    console.run("echo 1 > events/eprobes/two/enable")
    assert console.run("echo > dynamic_events") == "sh: dynamic_events: Device or resource busy\n"
    assert define(console, "!:two") == "sh: write error: Device or resource busy\n"
    console.run("echo 0 > events/eprobes/two/enable")
    assert define(console, "-:eprobes/two sched/sched_wakeup") == "sh: write error: No such file or directory\n"
    assert define(console, "-:eprobes/two sched/sched_switch") == ""
    assert define(console, "!:three") == "" and define(console, "-:kprobes/") == ""
    assert console.run("cat dynamic_events") == ""


def test_an_instance_has_the_event_probe_too(console: Console) -> None:
    """enable_trace_eprobe: the trace that asks first is the one that gets records."""
    define(console, OPENED)
    console.run("mkdir instances/foo; echo 1 > instances/foo/events/eprobes/opened/enable", "cat /etc/motd")
    assert 'name="/etc/motd"' in console.run("cat instances/foo/trace")
    assert not console.trace()
    console.run("rmdir instances/foo", "echo > dynamic_events")
    assert console.run("cat dynamic_events") == ""


def test_going_back_before_the_definition_and_forward_again(console: Console) -> None:
    lab = console.lab
    define(console, OPENED)
    console.run("echo 1 > events/eprobes/opened/enable", "cat /etc/motd")
    end, shown = lab.machine.retired, lab.tracing.events.output.text()
    defined = next(event for event in lab.events() if event.kind == "event.define")
    lab.seek(defined.moment.insn - 1)
    assert not lab.tracing.event_probes.probes
    lab.seek(end)
    assert lab.tracing.events.output.text() == shown and b"/etc/motd" in shown
