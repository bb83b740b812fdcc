"""The events of tracepoints and system calls under events/: formats, switches, filters, lines of the trace."""

import re

import pytest

from kprobesim.lab import Lab
from kprobesim.lab.kinds import EVENT_KINDS
from tests.lab.experiment import state_of
from tests.tracing.tracefs.console import Console, functions

WORK = "sh -c 'cat /etc/motd | wc; sleep 0.01; cat /nope'"
COMMON = """\
\tfield:unsigned short common_type;	offset:0;	size:2;	signed:0;
\tfield:unsigned char common_flags;	offset:2;	size:1;	signed:0;
\tfield:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
\tfield:int common_pid;	offset:4;	size:4;	signed:1;

"""


@pytest.fixture(scope="module")
def console() -> Console:
    return Console()


def format_of(console: Console, event: str) -> str:
    """A format file without its head: name, number, common fields."""
    text = console.run(f"cat events/{event}/format")
    head, common, rest = text.partition(COMMON)
    assert common and re.fullmatch(rf"name: {event.split('/')[1]}\nID: \d+\nformat:\n", head), text
    return rest


def traced(console: Console, *events: str, doing: str = WORK) -> list[str]:
    """The lines that events write while something is done, each from the event's text on."""
    console.run("echo 0 > events/enable", "echo > trace", *(f"echo 1 > events/{event}/enable" for event in events))
    console.run(doing)
    console.run("echo 0 > events/enable")
    return functions(console.trace())


def text_of(console: Console) -> bytes:
    """The kernel's code."""
    start, end = (console.lab.kernel.symbol(name) for name in ("_stext", "_etext"))
    return bytes(console.lab.read(start, end - start))


# Formats, as a Linux 6.1 prints them


def test_format_of_a_wakeup(console: Console) -> None:
    assert format_of(console, "sched/sched_wakeup") == (
        "\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:1;\n"
        "\tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;\n"
        "\tfield:int prio;\toffset:28;\tsize:4;\tsigned:1;\n"
        "\tfield:int target_cpu;\toffset:32;\tsize:4;\tsigned:1;\n"
        '\nprint fmt: "comm=%s pid=%d prio=%d target_cpu=%03d", REC->comm, REC->pid, REC->prio, REC->target_cpu\n'
    )


def test_format_of_an_exec_has_a_location_for_its_text(console: Console) -> None:
    assert format_of(console, "sched/sched_process_exec") == (
        "\tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:1;\n"
        "\tfield:pid_t pid;\toffset:12;\tsize:4;\tsigned:1;\n"
        "\tfield:pid_t old_pid;\toffset:16;\tsize:4;\tsigned:1;\n"
        '\nprint fmt: "filename=%s pid=%d old_pid=%d", __get_str(filename), REC->pid, REC->old_pid\n'
    )


def test_fields_are_aligned_as_the_compiler_does(console: Console) -> None:
    """Between comm, which ends at 28, and an unsigned long there are 4 bytes of nothing."""
    rest = format_of(console, "task/task_newtask")
    assert re.findall(r"(\w+)(?:\[\d+\])?;\toffset:(\d+);\tsize:(\d+)", rest) == [
        ("pid", "8", "4"),
        ("comm", "12", "16"),
        ("clone_flags", "32", "8"),
        ("oom_score_adj", "40", "2"),
    ]


def test_formats_of_a_system_call(console: Console) -> None:
    assert format_of(console, "syscalls/sys_enter_openat") == (
        "\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
        "\tfield:int dfd;\toffset:16;\tsize:8;\tsigned:0;\n"
        "\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;\n"
        "\tfield:int flags;\toffset:32;\tsize:8;\tsigned:0;\n"
        "\tfield:umode_t mode;\toffset:40;\tsize:8;\tsigned:0;\n"
        '\nprint fmt: "dfd: 0x%08lx, filename: 0x%08lx, flags: 0x%08lx, mode: 0x%08lx", ((unsigned long)(REC->dfd)), '
        "((unsigned long)(REC->filename)), ((unsigned long)(REC->flags)), ((unsigned long)(REC->mode))\n"
    )
    assert format_of(console, "syscalls/sys_exit_openat") == (
        "\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
        "\tfield:long ret;\toffset:16;\tsize:8;\tsigned:1;\n"
        '\nprint fmt: "0x%lx", REC->ret\n'
    )
    assert format_of(console, "syscalls/sys_enter_getpid") == (
        '\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: ""\n'
    )


def test_format_of_raw_sys_enter_has_an_array(console: Console) -> None:
    assert format_of(console, "raw_syscalls/sys_enter") == (
        "\tfield:long id;\toffset:8;\tsize:8;\tsigned:1;\n"
        "\tfield:unsigned long args[6];\toffset:16;\tsize:48;\tsigned:0;\n"
        '\nprint fmt: "NR %ld (%lx, %lx, %lx, %lx, %lx, %lx)", REC->id, REC->args[0], REC->args[1], REC->args[2], '
        "REC->args[3], REC->args[4], REC->args[5]\n"
    )


def test_types_of_arguments_have_no_markers_for_user_memory(console: Console) -> None:
    rest = format_of(console, "syscalls/sys_enter_execve")
    assert "field:const char *const * argv;" in rest
    assert "__user" not in rest


def test_each_system_call_of_the_table_has_a_pair(console: Console) -> None:
    names = console.run("ls events/syscalls").splitlines()
    entered = {name.removeprefix("sys_enter_") for name in names if name.startswith("sys_enter_")}
    left = {name.removeprefix("sys_exit_") for name in names if name.startswith("sys_exit_")}
    assert entered == left >= {"read", "write", "openat", "execve", "clone", "exit_group", "nanosleep", "wait4"}
    assert "ni_syscall" not in entered


def test_numbers_of_events_are_all_different(console: Console) -> None:
    numbers = [event.id for event in console.lab.tracing.events.events.values()]
    assert len(numbers) == len(set(numbers)) and all(0 < number < 1 << 16 for number in numbers)


# Lines of the trace


def test_lines_of_system_calls(console: Console) -> None:
    lines = traced(console, "syscalls/sys_enter_openat", "syscalls/sys_exit_openat", "syscalls/sys_exit_read")
    assert any(
        re.fullmatch(r"sys_openat\(dfd: ffffff9c, filename: [0-9a-f]+, flags: 0, mode: 0\)", one) for one in lines
    )
    assert "sys_openat -> 0x3" in lines
    assert "sys_openat -> 0xfffffffffffffffe" in lines  # -ENOENT
    assert any(line.startswith("sys_read -> ") for line in lines)


def test_lines_of_raw_system_calls(console: Console) -> None:
    lines = traced(console, "raw_syscalls")
    assert any(re.fullmatch(r"sys_enter: NR 257 \(ffffff9c, [0-9a-f]+(, [0-9a-f]+){4}\)", line) for line in lines)
    assert "sys_exit: NR 257 = -2" in lines


def test_a_child_returns_from_the_fork_that_it_never_called(console: Console) -> None:
    lines = traced(console, "syscalls/sys_exit_fork")
    assert "sys_fork -> 0x0" in lines
    assert any(re.fullmatch(r"sys_fork -> 0x[1-9a-f]\w*", line) for line in lines)


def test_an_execve_that_succeeds_returns_as_the_call_that_it_is(console: Console) -> None:
    assert "sys_execve -> 0x0" in traced(console, "syscalls/sys_exit_execve")


def test_the_life_of_a_process(console: Console) -> None:
    lines = traced(console, "sched", doing="sh -c 'cat /etc/hostname'")
    fork = next(
        m
        for m in map(
            re.compile(r"sched_process_fork: comm=sh pid=(\d+) child_comm=sh child_pid=(\d+)").fullmatch, lines
        )
        if m
    )
    pid = next(
        m[1]
        for m in map(re.compile(r"sched_process_exec: filename=/bin/cat pid=(\d+) old_pid=\1").fullmatch, lines)
        if m
    )
    story = [
        f"sched_process_fork: comm=sh pid={fork[2]} child_comm=sh child_pid={pid}",
        f"sched_wakeup_new: comm=sh pid={pid} prio=120 target_cpu=000",
        f"sched_process_exec: filename=/bin/cat pid={pid} old_pid={pid}",
        f"sched_process_exit: comm=cat pid={pid} prio=120",
        f"sched_process_free: comm=cat pid={pid} prio=120",
    ]
    places = [lines.index(line) for line in story]
    assert places == sorted(places)


def test_states_of_tasks_that_are_switched_away(console: Console) -> None:
    lines = [line for line in traced(console, "sched/sched_switch") if line.startswith("sched_switch")]
    states = {re.search(r"prev_state=(\S+)", line)[1] for line in lines}  # type: ignore[index]
    assert {"S", "R"} <= states <= {"S", "R", "R+", "X", "Z", "D"}
    whole = (
        r"sched_switch: prev_comm=\S+ prev_pid=\d+ prev_prio=120 prev_state=\S+ "
        r"==> next_comm=\S+ next_pid=\d+ next_prio=120"
    )
    assert all(re.fullmatch(whole, line) for line in lines)


def test_lines_of_interrupts_and_timers(console: Console) -> None:
    lines = traced(console, "irq", "irq_vectors", "timer", doing="sleep 0.01")
    assert "irq_handler_entry: irq=4 name=ttyS0" in lines
    assert "irq_handler_exit: irq=4 ret=handled" in lines
    assert "local_timer_entry: vector=236" in lines
    start = re.compile(
        r"hrtimer_start: hrtimer=0{8}[0-9a-f]{8} function=hrtimer_wakeup "
        r"expires=(\d+) softexpires=\1 mode=ABS was_armed=0"
    )
    assert any(start.fullmatch(line) for line in lines)
    assert any(re.fullmatch(r"hrtimer_expire_entry: hrtimer=\w+ function=hrtimer_wakeup now=\d+", one) for one in lines)


def test_lines_of_page_faults(console: Console) -> None:
    lines = traced(console, "exceptions")
    assert any(
        re.fullmatch(r"page_fault_user: address=0x[0-9a-f]+ ip=0x[0-9a-f]+ error_code=0x[0-9a-f]+", one)
        for one in lines
    )
    kernel = re.compile(r"page_fault_kernel: address=0x[0-9a-f]+ ip=(\w+) error_code=0x2")
    assert any(found and not found[1].startswith("0x") for found in map(kernel.fullmatch, lines))


def test_lines_of_signals(console: Console) -> None:
    lines = traced(console, "signal", doing="sh -c 'dd if=/dev/zero bs=1k count=100 | true'")
    assert any(
        re.fullmatch(r"signal_generate: sig=13 errno=0 code=0 comm=dd pid=\d+ grp=0 res=0", one) for one in lines
    )
    assert "signal_deliver: sig=13 errno=0 code=0 sa_handler=0 sa_flags=0" in lines
    assert any(
        re.fullmatch(r"signal_generate: sig=17 errno=0 code=1 comm=sh pid=\d+ grp=1 res=1", one) for one in lines
    )
    assert any(
        re.fullmatch(r"signal_generate: sig=17 errno=0 code=2 comm=\w+ pid=\d+ grp=1 res=1", one) for one in lines
    )


def test_lines_of_tasks_memory_and_work(console: Console) -> None:
    lines = traced(console, "task", "kmem", "workqueue")
    assert any(re.fullmatch(r"task_newtask: pid=\d+ comm=sh clone_flags=0 oom_score_adj=0", one) for one in lines)
    assert any(re.fullmatch(r"task_rename: pid=\d+ oldcomm=sh newcomm=cat oom_score_adj=0", one) for one in lines)
    kmalloc = (
        r"kmalloc: call_site=\w+\+0x[0-9a-f]+/0x[0-9a-f]+ ptr=\w{16} bytes_req=(\d+) bytes_alloc=(\d+) "
        r"gfp_flags=GFP_KERNEL\|__GFP_ZERO node=-1 accounted=false"
    )
    found = [m for m in map(re.compile(kmalloc).fullmatch, lines) if m]
    assert found and all(int(m[1]) <= int(m[2]) for m in found)
    assert any(
        re.fullmatch(r"workqueue_execute_start: work struct \w{16}: function flush_to_ldisc", one) for one in lines
    )
    assert any(
        re.fullmatch(r"workqueue_execute_end: work struct \w{16}: function flush_to_ldisc", one) for one in lines
    )


def test_context_letters(console: Console) -> None:
    """TFS-22: interrupts off, hard interrupt, preempt depth, need for another task, of the code that was traced."""
    console.run("echo > trace", "echo 1 > events/sched/enable", "echo 1 > events/raw_syscalls/enable", WORK)
    console.run("echo 0 > events/enable")
    letters: dict[str, set[str]] = {}
    for line in console.trace():
        found = re.match(r" *\S+-\d+ +\[\d+\] (\S{5}) +[\d.]+: (\w+):", line)
        assert found is not None, line
        letters.setdefault(found[2], set()).add(found[1])
    assert letters["sys_enter"] == letters["sys_exit"] == {"....."}
    assert letters["sched_switch"] == {"d..2."}
    assert {"d.h2."} <= letters["sched_waking"]
    assert any(shown[1] == "N" for shown in letters["sched_wakeup"])


# Switches


def test_enable_is_one_patch_for_each_place(console: Console) -> None:
    """TFS-08: the file shows 0, 1 and X; code changes with the first and the last event of a tracepoint."""
    lab = console.lab
    console.run("echo 0 > events/enable")
    start, before = lab.kernel.symbol("_stext"), text_of(console)
    assert console.run("cat events/syscalls/enable") == "0\n"
    console.run("echo 1 > events/syscalls/sys_enter_read/enable", "echo 1 > events/syscalls/sys_enter_write/enable")
    assert console.run("cat events/syscalls/enable events/syscalls/sys_enter_read/enable") == "X\n1\n"
    changed = text_of(console)
    sites = lab.manager.kprobes.jump_labels.sites(lab.tracing.kernel_events.tracepoints.find("sys_enter").key)
    differing = {n for n, (a, b) in enumerate(zip(before, changed, strict=True)) if a != b}
    assert differing and differing <= {entry.code - start + n for entry in sites for n in range(5)}
    console.run("echo 0 > events/syscalls/enable")
    assert text_of(console) == before


def test_set_event_takes_systems_and_events(console: Console) -> None:
    console.run("echo 0 > events/enable", "echo sched:sched_switch > set_event", "echo irq: >> set_event")
    listed = console.run("cat set_event").splitlines()
    assert sorted(listed) == ["irq:irq_handler_entry", "irq:irq_handler_exit", "sched:sched_switch"]
    console.run("echo > set_event")
    assert console.run("cat set_event") == ""


def test_a_filter_keeps_records_by_numbers_and_by_names(console: Console) -> None:
    """TFS-18, for fields of all sorts: a number, an array of char, a text behind a location."""
    console.run("echo 'ret < 0' > events/raw_syscalls/sys_exit/filter")
    lines = traced(console, "raw_syscalls/sys_exit")
    assert lines and all(re.fullmatch(r"sys_exit: NR \d+ = -\d+", line) for line in lines)
    console.run("echo 0 > events/raw_syscalls/sys_exit/filter")
    console.run("echo 'comm == \"cat\"' > events/sched/sched_process_exit/filter")
    assert {line.split()[1] for line in traced(console, "sched/sched_process_exit")} == {"comm=cat"}
    console.run("echo 'filename ~ \"*wc\"' > events/sched/sched_process_exec/filter")
    lines = traced(console, "sched/sched_process_exec")
    assert lines and all("filename=/bin/wc " in line for line in lines)
    console.run("echo 0 > events/sched/filter")


def test_the_name_of_an_event_of_the_kernel_is_taken(console: Console) -> None:
    """TFS-04, EVENT_EXIST"""
    assert "File exists" in console.run("echo 'p:sched/sched_switch vfs_read' >> kprobe_events")


# Everything at once, and back


def test_programs_print_the_same_with_every_event_on() -> None:
    plain, watched = Console(cpus=2), Console(cpus=2)
    watched.run("echo 1 > events/enable")
    work = ("usertests", WORK, "spin 5", "ls / | wc")
    assert watched.run(*work) == plain.run(*work)
    watched.run("echo 0 > events/enable")
    assert text_of(watched) == text_of(plain)


def test_going_back_over_switching_on_and_hits_finds_the_same_states() -> None:
    lab = Lab.open(cpus=2)
    lab.type("echo 1 > /sys/kernel/tracing/events/sched/enable")
    lab.type("cat /home/notes.txt | wc")
    lab.type("echo 0 > /sys/kernel/tracing/events/sched/enable")
    lab.run()
    wanted = ("static_key.enable", "tracepoint.hit", "trace.entry", "static_key.disable")
    moments = [event.moment for event in lab.events() if event.kind in wanted]
    picked = sorted({*moments[:3], *moments[len(moments) // 2 :][:3], *moments[-3:]})

    def visit() -> list[object]:
        states: list[object] = []
        for moment in picked:
            lab.seek(moment)
            trace = [buffer.entries() for buffer in lab.tracing.events.trace.buffers]
            on = [event.full_name for event in lab.tracing.events.events.values() if event.enabled]
            states.append((state_of(lab), trace, on))
        return states

    forward = visit()
    lab.seek(lab.start)
    assert not any(event.enabled for event in lab.tracing.events.events.values())
    assert visit() == forward


def test_kinds_of_static_keys_and_tracepoints_are_declared() -> None:
    assert {"static_key.enable", "static_key.disable", "tracepoint.hit"} <= EVENT_KINDS.keys()
