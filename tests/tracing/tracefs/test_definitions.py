"""Commands of kprobe_events: names, places, siblings, deletion."""

import pytest

from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from tests.tracing.tracefs.console import Console, define, functions


@pytest.fixture
def lab() -> Lab:
    booted = Lab.open()
    booted.run()
    return booted


def listed(lab: Lab) -> list[str]:
    return [probe.show().rstrip("\n") for probe in lab.tracing.dyn_events.probes]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("p vfs_read", "p:kprobes/p_vfs_read_0 vfs_read"),
        ("p vfs_read+0x1", "p:kprobes/p_vfs_read_1 vfs_read+1"),
        ("r vfs_read", "r10:kprobes/r_vfs_read_0 vfs_read"),
        ("r5:a vfs_read", "r5:kprobes/a vfs_read"),
        ("p:a vfs_read%return", "r10:kprobes/a vfs_read"),
        ("p:grp/ vfs_read", "p:grp/p_vfs_read_0 vfs_read"),
        ("p:grp/a vfs_read", "p:grp/a vfs_read"),
        ("p:grp.a vfs_read", "p:grp/a vfs_read"),
        ("p:my-grp/a vfs_read", "p:my-grp/a vfs_read"),
        ("pxyz:a vfs_read", "p:kprobes/a vfs_read"),
        ("p\xb2:a vfs_read", "p:kprobes/a vfs_read"),
        ("p:a\xa0vfs_read", "p:kprobes/a vfs_read"),
        ("p:a   vfs_read\tx=%di   %si:u8", "p:kprobes/a vfs_read x=%di arg2=%si:u8"),
        ("p:a no_module:some_function", "p:kprobes/a no_module:some_function"),
        ("p no_module:f.x", "p:kprobes/p_no_module_f_x_0 no_module:f.x"),
    ],
)
def test_what_is_shown_back(lab: Lab, command: str, shown: str) -> None:
    """GRM-01, GRM-02, GRM-03, GRM-12, TFS-03."""
    assert define(lab, command) is None
    assert listed(lab) == [shown]


def test_addresses_are_hashed(lab: Lab) -> None:
    """TFS-03: %p hides the address, the same way each time."""
    address = lab.kernel.symbol("vfs_read")
    assert define(lab, f"p:a {address:#x}") is None
    assert define(lab, f"p {address:#x}") is None
    first, second = listed(lab)
    place = first.split()[1]
    assert place.startswith("0x00000000") and len(place) == 18
    assert second == f"p:kprobes/p_{place} {place}"
    error = define(lab, f"r:x {address:#x} $retval")
    assert error is not None and error.errno is Errno.EINVAL  # GRM-06


def test_siblings(lab: Lab) -> None:
    """TFS-04: a further place under the same name is one more probe of the event."""
    assert define(lab, "p:a vfs_read x=%di") is None
    assert define(lab, "p:a vfs_write x=%si") is None
    assert listed(lab) == ["p:kprobes/a vfs_read x=%di", "p:kprobes/a vfs_write x=%si"]
    assert [event for event in lab.tracing.events.events if event[0] == "kprobes"] == [("kprobes", "a")]
    assert define(lab, "-:a vfs_write") is None
    assert listed(lab) == ["p:kprobes/a vfs_read x=%di"]


@pytest.mark.parametrize(
    ("command", "errno"),
    [
        ("-:nosuch", Errno.ENOENT),
        ("-:nogroup/a", Errno.ENOENT),
        ("-a", Errno.EINVAL),
        ("-:", Errno.EINVAL),
        ("-:a vfs_write", Errno.ENOENT),
        ("-:a vfs_read x=%si", Errno.ENOENT),
    ],
)
def test_deletions_that_fail(lab: Lab, command: str, errno: Errno) -> None:
    """TFS-05."""
    assert define(lab, "p:a vfs_read x=%di") is None
    error = define(lab, command)
    assert error is not None and error.errno is errno
    assert len(listed(lab)) == 1


@pytest.mark.parametrize("command", ["-:a", "-:kprobes/a", "-:kprobes/", "-:a vfs_read", "-:a vfs_read x=%di"])
def test_deletions_that_work(lab: Lab, command: str) -> None:
    """TFS-05."""
    assert define(lab, "p:a vfs_read x=%di") is None
    assert define(lab, command) is None
    assert listed(lab) == [] and not list(lab.manager.kprobes)


def test_a_deletion_compares_arguments_to_their_end(lab: Lab) -> None:
    """TFS-05: the buffer of 63 letters is only for the place."""
    argument = f"{'n' * 31}={'+0(' * 8}%di{')' * 8}"
    assert len(argument) > 63
    assert define(lab, f"p:a vfs_read {argument}:u64") is None
    error = define(lab, f"-:a vfs_read {argument}")
    assert error is not None and error.errno is Errno.ENOENT
    assert define(lab, f"-:a vfs_read {argument}:u64") is None
    assert listed(lab) == []


def test_the_text_is_untouched_until_enabled() -> None:
    """TFS-02, REG-25: a new event is [DISABLED]; the global switch disarms without a mark."""
    console = Console()
    address = console.lab.kernel.symbol("vfs_read")
    before = console.lab.read(address, 1)
    console.run("echo 0 > /proc/sys/debug/kprobes-optimization")
    console.run("echo p:a vfs_read > kprobe_events")
    line = f"{address:016x}  k  vfs_read+0x0    "
    assert console.run("cat ../debug/kprobes/list") == f"{line}[DISABLED]\n"
    assert console.lab.read(address, 1) == before
    console.run("echo 1 > events/kprobes/a/enable")
    assert console.run("cat ../debug/kprobes/list") == f"{line}\n"
    assert console.lab.read(address, 1) == b"\xcc"
    console.run("echo 0 > ../debug/kprobes/enabled")
    assert console.run("cat ../debug/kprobes/list ../debug/kprobes/enabled") == f"{line}\n0\n"
    assert console.lab.read(address, 1) == before
    console.run("echo 1 > ../debug/kprobes/enabled")
    assert console.run("cat ../debug/kprobes/enabled") == "1\n"
    assert console.lab.read(address, 1) == b"\xcc"


def test_truncation_and_busy() -> None:
    """TFS-01: > deletes all events first and fails while one is enabled; >> appends."""
    console = Console()
    console.run("echo p:a vfs_read > kprobe_events", "echo p:b vfs_write >> kprobe_events")
    assert console.run("cat kprobe_events").count("\n") == 2
    console.run("echo 1 > events/kprobes/a/enable")
    assert console.run("echo p:c vfs_write > kprobe_events") == "sh: kprobe_events: Device or resource busy\n"
    assert console.run("echo -:a >> kprobe_events") == "sh: write error: Device or resource busy\n"
    assert console.run("cat kprobe_events").count("\n") == 2
    console.run("echo 0 > events/kprobes/a/enable", "echo p:c vfs_write > kprobe_events")
    assert console.run("cat kprobe_events") == "p:kprobes/c vfs_write\n"
    assert console.run("echo > kprobe_events; cat kprobe_events kprobe_profile") == ""
    assert "kprobes" not in console.run("ls events").split()


def test_lines_before_the_wrong_one_stay() -> None:
    """TFS-20; and comments are none of the kernel's business."""
    console = Console()
    console.run("echo 'p:a vfs_read # first' > /tmp/x; echo 'p:b no_such' >> /tmp/x; echo 'p:c vfs_read' >> /tmp/x")
    assert console.run("cat /tmp/x > kprobe_events").endswith("No such file or directory\n")
    assert console.run("cat kprobe_events") == "p:kprobes/a vfs_read\n"


def test_dynamic_events_take_an_exclamation_mark() -> None:
    """GRM-13: in dynamic_events - and ! both delete."""
    console = Console()
    console.run("echo p:a vfs_read >> dynamic_events", "echo p:b vfs_read >> dynamic_events")
    assert console.run("echo '!:a' >> kprobe_events") == "sh: write error: Invalid argument\n"
    assert console.run("echo '!:a' >> dynamic_events; echo -:b >> dynamic_events; cat dynamic_events") == ""


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("echo x > nosuch", "sh: nosuch: Permission denied\n"),
        ("mkdir events/x", "mkdir: events/x: Operation not permitted\n"),
        ("rm trace", "rm: trace: Operation not permitted\n"),
        ("rmdir events", "rmdir: events: Operation not permitted\n"),
        ("mv /etc/motd trace2", "mv: /etc/motd: Invalid cross-device link\n"),
        ("mv trace trace2", "mv: trace: Operation not permitted\n"),
        ("cat events", "cat: events: Is a directory\n"),
        ("cat nosuch/x trace/x", "cat: nosuch/x: No such file or directory\ncat: trace/x: Not a directory\n"),
        ("echo x > available_events", "sh: write error: Invalid argument\n"),
        ("cd events/../..; cat debug/tracing/tracing_on; cd tracing; ls /sys/kernel", "1\ndebug\ntracing\n"),
    ],
)
def test_files_that_the_host_plays_are_files(command: str, printed: str) -> None:
    """What a file system without names of one's own answers."""
    assert Console().run(command) == printed


def test_a_sibling_of_an_enabled_event_is_armed() -> None:
    """TFS-02, TFS-04."""
    console = Console()
    console.run("echo 'p:a vfs_open' > kprobe_events", "echo 1 > events/kprobes/a/enable")
    console.run("echo 'p:a vfs_read' >> kprobe_events", "echo > trace", "cat /etc/hostname")
    shown = {line.split("+")[0] for line in functions(console.trace())}
    assert {"a: (vfs_open", "a: (vfs_read"} <= shown


def test_looking_at_files_costs_the_kernel_no_memory() -> None:
    console = Console()
    console.run("echo p:a vfs_read > kprobe_events")

    def free_pages(times: int) -> int:
        for _ in range(times):
            console.run(
                "cat tracing_on events/kprobes/a/id nosuch > /tmp/o; ls events/kprobes > /tmp/o; echo 0 > tracing_on"
            )
        return console.lab.kernel.read_u64(console.lab.kernel.symbol("nr_free_pages"))

    first = free_pages(3)
    assert free_pages(20) >= first - 4


def test_lists_of_debugfs_and_proc() -> None:
    """TFS-15, TFS-16, AGG-02, REG-19: one line for each probe of a site, the latest first."""
    console = Console()
    console.run(
        "echo p:a vfs_read > kprobe_events; echo p:b vfs_read >> kprobe_events; echo r:c vfs_read >> kprobe_events"
    )
    listed = console.run("cat /sys/kernel/debug/kprobes/list").splitlines()
    assert [line.split()[1] for line in listed] == ["r", "k", "k"]
    assert all(line.endswith("  vfs_read+0x0    [DISABLED]") for line in listed)
    events = console.lab.tracing.dyn_events.probes
    console.run("echo 1 > events/kprobes/b/enable")
    assert console.run("cat /sys/kernel/debug/kprobes/list").splitlines()[1].endswith("vfs_read+0x0    [OPTIMIZED]")
    assert [probe.definition.event for probe in events] == ["a", "b", "c"]
    entry = console.lab.manager.kprobes.blacklist.entries[0]
    line = console.run("head -n 1 /sys/kernel/debug/kprobes/blacklist")
    assert line == f"0x{entry.start:016x}-0x{entry.end:016x}\t{entry.symbol}\n"
    address = console.lab.kernel.symbol("vfs_read")
    assert console.run("grep ' vfs_read$' /proc/kallsyms") == f"{address:016x} T vfs_read\n"
    slot = console.run("grep kprobe_insn_page /proc/kallsyms")
    assert slot == "ffffffffa0000000 t kprobe_insn_page\t[__builtin__kprobes]\n"
    up, idle = map(float, console.run("cat /proc/uptime").split())
    assert up > idle >= 0
