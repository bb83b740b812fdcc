"""Optimized probes as the shell sees them: the list, the sysctl, the trace, a program's results."""

from kprobesim.lab import Lab
from tests.lab.experiment import by_pid, only
from tests.tracing.tracefs.console import Console

LIST = "cat /sys/kernel/debug/kprobes/list"
SYSCTL = "/proc/sys/debug/kprobes-optimization"


def test_the_list_says_optimized_as_soon_as_the_probe_waits() -> None:
    """OPT-06, TFS-15: the byte is still an int3."""
    console = Console()
    address = console.lab.kernel.symbol("vfs_write")
    console.run("echo p:a vfs_write > kprobe_events")
    assert console.run(LIST).endswith("[DISABLED]\n")
    listed = console.run(f"echo 1 > events/kprobes/a/enable; {LIST}")
    assert listed == f"{address:016x}  k  vfs_write+0x0    [OPTIMIZED]\n"
    printed = [event for event in only(console.lab, "console") if "[OPTIMIZED]" in event.fields["text"]]
    assert printed[0].seq < only(console.lab, "kprobe.optimize")[0].seq
    assert console.lab.read(address, 1) == b"\xe9"
    assert console.run(LIST) == f"{address:016x}  k  vfs_write+0x0    [OPTIMIZED]\n"


def test_the_sysctl_shows_and_switches() -> None:
    """OPT-15: as on the real kernel, at once to int3 and after a while back to jumps."""
    console = Console()
    address = console.lab.kernel.symbol("vfs_write")
    console.run("echo p:a vfs_write > kprobe_events", "echo 1 > events/kprobes/a/enable", "sleep 0.5")
    assert console.run(f"cat {SYSCTL}") == "1\n"
    console.run(f"echo 0 > {SYSCTL}")
    assert console.run(f"cat {SYSCTL}") == "0\n"
    assert console.lab.read(address, 1) == b"\xcc"
    assert console.run(LIST) == f"{address:016x}  k  vfs_write+0x0    \n"
    console.run(f"echo 1 > {SYSCTL}", "sleep 0.5")
    assert console.lab.read(address, 1) == b"\xe9"


def test_the_sysctl_takes_nothing_but_0_and_1() -> None:
    """OPT-15"""
    console = Console()
    for bad in ("2", "-1", "x"):
        assert "Invalid argument" in console.run(f"echo {bad} > {SYSCTL}")
    assert console.run(f"cat {SYSCTL}") == "1\n"


def test_the_pages_of_slots_and_buffers_have_names() -> None:
    """REG-14"""
    console = Console()
    console.run("echo p:a vfs_read > kprobe_events")
    assert console.run("grep kprobe_ /proc/kallsyms | grep _page") == (
        "ffffffffa0000000 t kprobe_insn_page\t[__builtin__kprobes]\n"
        "ffffffffa0001000 t kprobe_optinsn_page\t[__builtin__kprobes]\n"
    )


def test_a_second_probe_in_the_window_takes_the_jump_of_the_first() -> None:
    """OPT-12: the sequence of the real kernel, where the first stays an int3 also when the second is off again."""
    console = Console()
    console.run("echo p:first vfs_write > kprobe_events", "echo 1 > events/kprobes/first/enable", "sleep 0.6")
    console.run("echo p:second vfs_write+1 >> kprobe_events", "echo 1 > events/kprobes/second/enable")

    def flags() -> dict[str, str]:
        lines = console.run(LIST).splitlines()
        return {line.split()[2]: line.partition("    ")[2] for line in lines}

    assert flags() == {"vfs_write+0x0": "", "vfs_write+0x1": "[OPTIMIZED]"}
    console.run("sleep 0.6")
    address = console.lab.kernel.symbol("vfs_write")
    assert console.lab.read(address, 2) == b"\xcc\xe9"
    console.run("echo 0 > events/kprobes/second/enable", "sleep 0.6")
    assert flags() == {"vfs_write+0x0": "", "vfs_write+0x1": "[DISABLED]"}
    assert console.lab.read(address, 5) == b"\xcc" + console.lab.code(address)[1].original + b"\x41"


def test_the_context_of_a_record_tells_the_mechanism() -> None:
    """TFS-22: no trap, no NMI-like context, interrupts as they were."""
    console = Console()
    console.run("echo p:a vfs_read > kprobe_events", "echo 1 > events/kprobes/a/enable")
    console.run("cat /etc/hostname")
    console.run("sleep 0.5", "cat /etc/hostname", "echo 0 > tracing_on")
    contexts = [line.split()[2] for line in console.trace()]
    assert contexts[0] == "..Zff"
    assert contexts[-1] == "....."
    assert set(contexts) == {"..Zff", "....."}


def test_a_program_on_an_optimized_probe_does_what_it_does_on_an_int3() -> None:
    """BPF-01 in the detour: the same counts, the same pid, whatever serves the probe."""

    def counted(optimization: bool) -> tuple[dict[int, int], Lab]:
        lab = Lab.open(optimization=optimization)
        lab.run()
        lab.load_program(by_pid(), "by_pid")
        lab.attach("by_pid", "vfs_read")
        lab.run(instructions=2_000_000)
        lab.type("cat /home/notes.txt | wc")
        lab.run()
        entries = lab.maps()[0].entries
        return {key[0]: int.from_bytes(value, "little") for key, value in entries}, lab

    stepped, slow = counted(False)
    jumped, fast = counted(True)
    assert jumped == stepped
    assert sum(jumped.values()) > 3
    assert only(fast, "kprobe.opt_hit") and not only(fast, "kprobe.singlestep")
    assert only(slow, "kprobe.singlestep") and not only(slow, "kprobe.opt_hit")
