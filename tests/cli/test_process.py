"""The command line as a process: quick to start, headless without Textual, quiet when interrupted or cut off."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.console import COMMAND, environment, kprobesim, start

HEADLESS = """
import sys
sys.argv = ["kprobesim", *sys.argv[1:]]
from kprobesim.cli.main import main
try:
    main()
except SystemExit:
    pass
loaded = sorted(name for name in sys.modules if name.split(".")[0] in ("textual", "rich") or "kprobesim.tui" in name)
print(loaded, file=sys.stderr)
"""

HELP = """
import sys
sys.argv = ["kprobesim", "--help"]
from kprobesim.cli.main import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["demo", "--json"],
        ["demo", "--plain"],
        ["shell", "-c", "ls"],
        ["kernel", "list"],
        ["kernel", "disasm", "toyix", "vfs_read"],
        ["lesson", "list"],
        ["bpf", "exec"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_headless_commands_load_nothing_of_the_screen(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEADLESS, *arguments],
        capture_output=True,
        text=True,
        input="b7000000000000009500000000000000",
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.stderr == "[]\n"


def test_the_lab_loads_nothing_of_the_screen() -> None:
    screens = ("textual", "rich", "kprobesim.tui", "kprobesim.cli")
    code = f"""
import sys
from kprobesim.lab import *
print([name for name in sys.modules if name.startswith({screens})])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout == "[]\n"


def test_help_loads_the_command_line_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP], capture_output=True, text=True, env=environment(), timeout=60, check=True
    )
    assert all(command in done.stdout for command in ("bpf", "demo", "doctor", "kernel", "lesson", "shell"))
    loaded = done.stderr.split()
    assert not {"textual", "rich", "unicorn", "capstone", "elftools", "asyncio", "tomllib"} & set(loaded)
    own = {name for name in loaded if name.startswith("kprobesim")}
    assert own == {
        "kprobesim",
        "kprobesim.cli",
        "kprobesim.cli.main",
        "kprobesim.cli.options",
        "kprobesim.errors",
        "kprobesim.linux_errno",
    }


def test_the_demo_is_the_same_in_every_process() -> None:
    first = kprobesim("demo", "--json", PYTHONHASHSEED="1")
    assert first.stdout == kprobesim("demo", "--json", PYTHONHASHSEED="2").stdout
    assert all(json.loads(line) for line in first.stdout.splitlines())


def test_the_package_is_run_as_a_module_too() -> None:
    command = [sys.executable, "-m", "kprobesim", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=True)
    assert done.stdout.startswith("kprobesim, version ")


def read_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def interrupt(process: "subprocess.Popen[bytes]", given: bytes | None = None) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(given, timeout=30)
    return process.returncode, errors.decode()


@pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")
class TestCtrlC:
    def test_a_slow_demo(self) -> None:
        process = start("demo", "--plain", "--speed", "0.5")
        read_line(process)
        assert interrupt(process) == (130, "\n")

    def test_a_batch_that_waits_for_input(self) -> None:
        process = start("bpf", "batch")
        assert process.stdin is not None
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        assert b"error" in read_line(process)
        assert interrupt(process) == (130, "\n")

    def test_a_long_program(self) -> None:
        process = start("bpf", "batch")
        assert process.stdin is not None
        loop = b'{"op": "run", "insns": "0500ffff000000009500000000000000"}\n'
        process.stdin.write(b"{}\n" + loop * 500)
        process.stdin.flush()
        read_line(process)
        status, errors = interrupt(process)
        assert (status, errors) == (130, "\n")

    def test_a_command_of_the_guest_is_ended_and_the_shell_goes_on(self) -> None:
        process = start("shell", "-c", "echo begun; spin 3000000\necho after")
        while read_line(process) != b"begun\n":
            pass
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, b"")
        assert output.endswith(b"after\n")

    def test_the_shell_that_waits_for_a_line(self) -> None:
        process = start("shell")
        assert process.stdin is not None
        process.stdin.write(b"echo ready\n")
        process.stdin.flush()
        while read_line(process) != b"ready\n":
            pass
        time.sleep(0.2)
        assert interrupt(process) == (130, "\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes as on Unix")
@pytest.mark.parametrize("arguments", [["demo", "--json"], ["kernel", "info", "toyix"], ["shell", "-c", "ls /\n" * 50]])
def test_a_reader_that_has_enough_is_no_error(arguments: list[str]) -> None:
    process = start(*arguments)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert (process.wait(30), errors) == (0, b"")
    for pipe in (process.stdin, process.stderr):
        if pipe is not None:
            pipe.close()


def test_a_full_disk_is_told() -> None:
    path = Path("/dev/full")
    if not path.exists():
        pytest.skip("no /dev/full here")
    with path.open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "demo", "--plain"], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode() == "kprobesim: No space left on device\n"
