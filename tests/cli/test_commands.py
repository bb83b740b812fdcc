"""Every command: success, wrong usage (2), bad input (1); results on standard output, the rest on standard error."""

import json
from pathlib import Path

import pytest

from kprobesim.lab import EVENT_KINDS
from tests.cli.console import Cli
from tests.image.elf_writer import small_kernel

LIFE_OF_A_HIT = [
    "text.poke",
    "trap",
    "gate",
    "kprobe.hit",
    "bpf.enter",
    "bpf.helper",
    "map.update",
    "bpf.exit",
    "kprobe.singlestep",
    "trap",
    "gate",
    "kprobe.resume",
]


def test_demo_prints_the_life_of_one_hit_as_json_in_the_order_of_the_machine(cli: Cli) -> None:
    result = cli("demo", "first-probe", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    told = iter(event["kind"] for event in events)
    assert all(kind in told for kind in LIFE_OF_A_HIT)
    by_kind = {event["kind"]: event for event in events}
    assert (by_kind["text.poke"]["symbol"], by_kind["text.poke"]["old"], by_kind["text.poke"]["new"]) == (
        "vfs_read",
        "55",
        "cc",
    )
    first = next(event for event in events if event["kind"] == "trap" and event["name"] == "#BP")
    assert (first["vector"], int(first["rip"], 16)) == (3, int(by_kind["kprobe.hit"]["addr"], 16) + 1)
    assert by_kind["gate"]["handler_symbol"] == "asm_exc_int3+0x0"
    assert by_kind["map.update"]["new"] == "0100000000000000"
    assert by_kind["kprobe.resume"]["ip"] == first["rip"]
    required = {
        "text.poke": "addr symbol old new", "trap": "vector name rip", "gate": "handler",
        "kprobe.hit": "addr symbol offset probe", "bpf.enter": "prog", "bpf.helper": "name args ret",
        "bpf.exit": "r0", "kprobe.singlestep": "slot", "kprobe.resume": "ip",
    }  # fmt: skip
    for kind, names in required.items():
        assert set(names.split()) <= by_kind[kind].keys(), kind
    for event in events:
        documented = {field.name for field in EVENT_KINDS[event["kind"]].fields}
        assert event.keys() <= documented | {"seq", "ns", "cpu", "kind"}


def test_demo_is_the_same_each_time(cli: Cli) -> None:
    assert cli("demo", "--json").stdout == cli("demo", "--json").stdout


def test_without_a_terminal_the_default_demo_is_told(cli: Cli) -> None:
    result = cli()
    assert result.exit_code == 0
    assert result.stdout == cli("demo", "first-probe", "--plain").stdout
    assert result.stdout.count("\n") > 15


@pytest.mark.parametrize("where", [("--lang", "zh", "demo", "--plain"), ("demo", "--plain", "--lang", "zh")])
def test_the_demo_speaks_chinese(cli: Cli, where: tuple[str, ...]) -> None:
    assert "演示" in cli(*where).stdout


def test_kernels_are_listed_and_described(cli: Cli) -> None:
    listed = cli("kernel", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["tiny", "toyix"]
    assert "小内核" in cli("kernel", "list", "--lang", "zh").stdout
    described = cli("kernel", "info", "toyix").stdout
    assert ".data" in described and "fentry sites" in described


def test_code_is_shown_before_and_after_patching(cli: Cli) -> None:
    text = cli("kernel", "disasm", "toyix", "vfs_read", "--probe", "0").stdout
    before, _, after = text.partition("with a kprobe at vfs_read+0:")
    assert "push   %rbp" in before and "(was" not in before
    assert "(was 55)" in after and "its slot" in after and "int3" in after
    assert "its detour buffer" in after and "<optimized_callback+0x0>" in after and "<vfs_read+0x6>" in after


def test_doctor_finds_everything_here(cli: Cli) -> None:
    result = cli("doctor")
    assert result.exit_code == 0
    assert "BAD" not in result.stdout and "kernel images: tiny, toyix" in result.stdout


def test_lessons_can_be_listed(cli: Cli) -> None:
    assert cli("lesson", "list").exit_code == 0
    for line in cli("lesson", "list", "--json").stdout.splitlines():
        assert json.loads(line).keys() == {"id", "title", "minutes", "part", "tasks", "done", "state"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["--nosuch"],
        ["--lang", "fr"],
        ["demo", "--plain", "--json"],
        ["demo", "--speed", "0"],
        ["demo", "--speed", "nan"],
        ["demo", "a", "b"],
        ["kernel"],
        ["kernel", "info"],
        ["kernel", "disasm", "toyix"],
        ["lesson", "run"],
        ["bpf"],
        ["bpf", "nosuch"],
        ["bpf", "asm", "/nonexistent"],
        ["shell", "--cpus", "9"],
        ["shell", "--cpus", "x"],
        ["shell", "-c", "ls", "file"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(cli: Cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: kprobesim" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "nosuch"], "first-probe"),
        (["demo", "first-prob", "--json"], "Did you mean first-probe"),
        (["lesson", "run", "nosuch"], "no lesson"),
        (["kernel", "info", "nosuch"], "tiny, toyix"),
        (["kernel", "info", "/nonexistent.elf"], "does not exist"),
        (["kernel", "info", "/"], "not a file"),
        (["kernel", "disasm", "toyix", "vfs_red"], "Did you mean vfs_read"),
        (["kernel", "disasm", "toyix", "init_task"], "not code"),
        (["kernel", "disasm", "toyix", "vfs_read", "--probe", "2"], "-EILSEQ"),
        (["kernel", "disasm", "toyix", "vfs_read", "--probe", "x"], "not a place to probe"),
        (["kernel", "disasm", "toyix", "asm_exc_int3", "--probe", "0"], "-EINVAL"),
        (["shell", "-c", "ls", "--profile", "nosuch"], "distro, bare, server, history"),
        (["shell", "-c", "ls", "--kernel", "nosuch"], "tiny, toyix"),
        (["shell", "/nonexistent"], "No such file"),
        (["shell", "/"], "Is a directory"),
        (["shell", "-c", "x" * 5000], "4,095"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_bad_input_is_status_1_with_a_reason(cli: Cli, arguments: list[str], said: str) -> None:
    result = cli(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("kprobesim: ") and said in result.stderr


def test_hostile_files_are_no_kernels(cli: Cli, tmp_path: Path) -> None:
    whole = small_kernel().build()
    path = tmp_path / "kernel.elf"
    for content in (b"", b"\x7fELF", whole[:100], whole[: len(whole) // 2], b"MZ" + bytes(4096), bytes(100_000)):
        path.write_bytes(content)
        for command in (["kernel", "info", str(path)], ["shell", "-c", "ls", "--kernel", str(path)]):
            result = cli(*command)
            assert result.exit_code == 1
            assert result.stderr.startswith("kprobesim: ")


def test_a_guest_that_triple_faults_is_reported_with_its_last_state(cli: Cli, tmp_path: Path) -> None:
    kernel = small_kernel()
    for segment in kernel.segments:
        segment.data = b"\x0f\x0b" * (len(segment.data) // 2) or b"\x0f\x0b"
    path = tmp_path / "kernel.elf"
    path.write_bytes(kernel.build())
    result = cli("shell", "-c", "ls", "--kernel", str(path))
    assert result.exit_code == 1
    assert "Triple fault" in result.stderr and "rip" in result.stderr and "cr2" in result.stderr


def test_what_should_not_happen_is_no_traceback_either(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("broken inside")

    monkeypatch.setattr("kprobesim.cli.demo.find_demo", broken)
    result = cli("demo", "--json")
    assert result.exit_code == 1
    assert "RuntimeError: broken inside" in result.stderr and "KPROBESIM_DEBUG" in result.stderr


# The shell


def shell_output(cli: Cli, *lines: str, options: tuple[str, ...] = ()) -> str:
    result = cli("shell", *options, "-c", "\n".join(lines))
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_shell_runs_lines_and_prints_what_a_console_would(cli: Cli) -> None:
    text = shell_output(
        cli,
        "cd /etc; cat hostname | cat",
        "nosuch",
        "# nothing",
        "",
        'echo "a  b" > /tmp/x; echo c >> /tmp/x; cat /tmp/x',
        "cat /nope",
    )
    assert text.splitlines()[-5:] == [
        "toyix",
        "sh: nosuch: not found",
        "a  b",
        "c",
        "cat: /nope: No such file or directory",
    ]


def test_shell_reads_a_file_and_standard_input(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo one\necho 中文\n", encoding="utf-8")
    assert cli("shell", str(script)).stdout.endswith("one\n中文\n")
    assert cli("shell", given="echo one\necho two").stdout.endswith("one\ntwo\n")
    script.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in cli("shell", str(script)).stderr
    script.write_bytes(b"#" * (1 << 20) + b"\n")
    assert "larger than" in cli("shell", str(script)).stderr


def test_shell_ends_when_the_machine_is_switched_off(cli: Cli) -> None:
    assert "never" not in shell_output(cli, "echo first", "exit", "exit", "echo never")


@pytest.mark.parametrize("cpus", ["1", "2", "4"])
def test_shell_on_several_cpus(cli: Cli, cpus: str) -> None:
    assert shell_output(cli, "cat /etc/motd | cat | wc", options=("--cpus", cpus)).endswith("1 16 83\n")
