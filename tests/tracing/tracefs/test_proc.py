"""/proc: tasks as the kernel's own structures have them."""

import re

import pytest

from tests.tracing.tracefs.console import Console


@pytest.fixture(scope="module")
def console() -> Console:
    return Console()


def test_every_task_has_a_folder(console: Console) -> None:
    names = console.run("ls /proc").split()
    pids = [name for name in names if name.isdigit()]
    assert "1" in pids and {"self", "kallsyms", "uptime", "version"} <= set(names)
    assert console.run("ls /proc/1").split() == ["cmdline", "comm", "maps", "stat", "status"]
    assert console.run("cat /proc/4294967295/comm") == "cat: /proc/4294967295/comm: No such file or directory\n"


def test_status_of_init_and_of_a_kernel_thread(console: Console) -> None:
    status = dict(line.split(":\t") for line in console.run("cat /proc/1/status").splitlines())
    assert (status["Name"], status["State"], status["PPid"]) == ("init", "S (sleeping)", "0")
    assert status["Uid"] == "0\t0\t0\t0" and re.fullmatch(r" +\d+ kB", status["VmRSS"])
    kthread = console.run("cat /proc/2/status")
    assert "Name:\tkthreadd\n" in kthread and "VmSize" not in kthread
    assert console.run("cat /proc/2/cmdline /proc/2/maps") == ""


def test_stat_has_52_fields(console: Console) -> None:
    line = console.run("cat /proc/self/stat")
    head, _, rest = line.partition(") ")
    assert head.endswith(" (cat") and len(rest.split()) == 50 and rest[0] == "R"


def test_maps_and_arguments(console: Console) -> None:
    assert console.run("cat /proc/self/cmdline") == "cat\0/proc/self/cmdline\0"
    lines = console.run("cat /proc/self/maps").splitlines()
    assert re.fullmatch(r"00400000-[0-9a-f]{8} r-xp 0000[0-9a-f]000 00:01 \d+ +/bin/cat", lines[0])
    assert lines[-1].endswith(" rw-p 00000000 00:00 0                          [stack]")
