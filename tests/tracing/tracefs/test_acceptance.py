"""The sessions that were recorded on a Linux 6.1, replayed in the shell and compared.

Addresses, times, pids, offsets and values are told apart no more; the rest must be equal. What toyix has not got is
replaced or left out by the tables below, each with its reason.
"""

import re
from pathlib import Path

import pytest

from tests.tracing.tracefs.console import Console

RECORDED = Path(__file__).resolve().parents[4] / "shared/acceptance/linux-6.1"
pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="the real kernel's output is not here")

# What stands in the recorded commands, what is written here, and why.
REPLACED = {
    "do_sys_openat2+0x4c": ("do_sys_openat2+0x4", "where an instruction of toyix's function begins"),
    "do_sys_openat2+0x5": ("do_sys_openat2+0x1", "where an instruction of toyix's function begins"),
    "do_sys_openat2+6": ("do_sys_openat2+2", "where none begins"),
    "p:a kprobe_dispatcher": ("p:a exc_int3", "kprobe_dispatcher is the host's; another function that is refused"),
    "p:a native_load_idt": ("p:a asm_exc_int3", "toyix has no native_load_idt; another function that is refused"),
}
LEFT_OUT = {
    "kdis": "a tool of whoever recorded the session; kprobesim kernel disasm does this",
    "dmesg": "the kernel's log is on the console",
    "sysctl": "toyix has no sysctl program",
    "wc -l /sys/kernel/debug/kprobes/blacklist": "the functions of another kernel",
    "grep -n -A60": "toyix's grep shows no lines of context; README is shorter",
    "ls -la": "toyix has no users' names and dates",
}
SHAPES = (
    (r"^\[ *\d+\.\d+\] trace_kprobe: Could not probe notrace.*\n", "", "the kernel's log, not the file"),
    (r"^(/in/script: line \d+: echo|sh): write error", "write error", "which shell complains"),
    (r"\[ *\d+\.\d{6}\]", "[TIME]", "times"),
    (r"^ *[\w<>.]+-\d+ +\[\d{3}\] \S{5} +\d+\.\d{6}:", "TASK-PID [CPU] FLAGS TIME:", "tasks, and int3 for ftrace"),
    (r"^[0-9a-f]{16}  ", "ADDRESS  ", "addresses"),
    (r"0x0{8}[0-9a-f]{8}", "HASHED", "hashes of addresses"),
    (r"\[FTRACE\]|\[OPTIMIZED\]", "", "the profile bare serves all by int3"),
    (r"\+0x[0-9a-f]+(/0x[0-9a-f]+)?", "+OFFSET", "offsets"),
    (r"(?<=do_sys_openat2\+)\d+", "OFFSET", "offsets"),
    (r"do_sys_open(?=\+OFFSET <-)", "__x64_sys_openat", "gcc has put Linux's do_sys_open into its callers"),
    (r"=0x[0-9a-f]+", "=VALUE", "values"),
    (r'"[^"]*"(?=( |$))', '"TEXT"', "texts in records"),
    (r"(?<=[\d ])\d(?=\d* +0$)", " ", "counts, of which the last digit is left"),
    (r"(?<= )\d(?= +0$)", "N", "counts"),
    (r"entries-written: \d+/\d+", "entries-written: N/N", "counts"),
    (r"^ID: \d+", "ID: N", "numbers of events"),
)
IS_RECORD = re.compile(r"TASK-PID|^ => ")


def parts(name: str) -> list[tuple[str, str]]:
    """Commands and what they printed."""
    text = (RECORDED / name).read_text(encoding="utf-8")
    return [
        (
            command,
            re.sub(r"^\(exit \d+\)\n?", "", re.sub(r"^###.*\n", "", rest, flags=re.MULTILINE), flags=re.MULTILINE),
        )
        for command, _, rest in (part.partition("\n") for part in text.split("$ ")[1:])
    ]


def shape(text: str) -> list[str]:
    """The lines without what differs from machine to machine. Of records, which are never as many, each sort once."""
    for pattern, replacement, _ in SHAPES:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("[oracle")]
    records = sorted({line for line in lines if IS_RECORD.match(line)})
    return [line for line in lines if not IS_RECORD.match(line)] + records


def replaced(console: Console, command: str) -> str:
    """The command with toyix's names and addresses."""
    kernel = console.lab.kernel
    beyond = kernel.symbol("vfs_write") + 2 - kernel.symbol("do_sys_openat2")
    places = {"0xffffffff81367550": f"{kernel.symbol('ksys_read'):#x}", "+0xfffff": f"+{beyond:#x}"}
    for old, new in (places | {old: new for old, (new, _) in REPLACED.items()}).items():
        command = command.replace(old, new)
    return command


def quoted(command: str) -> str:
    return command.split("'")[1]


def is_left_out(command: str) -> bool:
    return any(word in command for word in LEFT_OUT)


def test_session_of_kprobe_events() -> None:
    """Linux's 01_kprobe_events: TFS-01 to TFS-15, GRM-03, GRM-04, FET-04, filters, the stacktrace trigger."""
    console = Console()
    console.run("echo root:x:0:0:root:/root:/bin/sh > /etc/passwd", "echo hello > /tmp/hello.txt")
    compared = 0
    for command, expected in parts("01_kprobe_events.txt"):
        if is_left_out(command):
            continue
        printed = console.run(replaced(console, command))
        if command.startswith("ls "):
            printed, expected = (" ".join(text.split()) for text in (printed, expected))
        ours, theirs = shape(replace_places(printed)), shape(replace_places(expected))
        if "tail -n" in command:
            # It cuts the trace at other records, and the callers above the function are those of another mechanism.
            ours, theirs = ([line for line in lines if "TASK-PID" in line] for lines in (ours, theirs))
        if "kprobes/list" in command:
            # The table is walked by the hash of addresses.
            ours, theirs = sorted(ours), sorted(theirs)
        assert ours == theirs, command
        compared += 1
    assert compared == 38


def replace_places(text: str) -> str:
    """Offsets that REPLACED has changed are shown back in decimal."""
    return re.sub(r"(?<=do_sys_openat2\+)(76|5|4|1)\b", "OFFSET", text)


def test_session_of_error_log() -> None:
    """Linux's 02_error_log: errno, message, command and caret of each refused command (TFS-17, GRM-*)."""
    console = Console()
    compared = 0
    for command, expected in parts("02_error_log_first_half.txt"):
        given = replaced(console, command)
        if "write error" not in expected:
            continue
        printed = console.run(given, "cat error_log", "echo > error_log")
        assert shape(printed) == shape(expected.replace(quoted(command), quoted(given))), command
        compared += 1
    assert compared == 24
