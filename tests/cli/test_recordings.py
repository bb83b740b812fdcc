"""``kprobesim record``, ``replay``, ``diff``, ``export`` and ``what-if``."""

import json
from pathlib import Path

import pytest

from tests.bpf.object.objects import PROGRAMS
from tests.cli.console import Cli, kprobesim


@pytest.fixture
def made(tmp_path: Path, cli: Cli) -> Path:
    """A recording of one probed command."""
    path = tmp_path / "one.kprobesim"
    assert cli("record", str(path), "--probe", "vfs_read", "--", "cat", "/etc/motd").exit_code == 0
    return path


def test_record_prints_what_a_console_would_and_keeps_it(tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "r"
    result = cli("record", str(path), "--note", "笔记", "--", "echo one\necho two")
    assert (result.exit_code, result.stdout) == (0, "one\ntwo\n")
    assert "3 inputs" in result.stderr
    assert json.loads(path.read_text(encoding="utf-8"))["notes"] == "笔记"


def test_programs_are_kept_in_the_recording_itself(tmp_path: Path, cli: Cli) -> None:
    program = tmp_path / "nothing.bpf"
    program.write_text("r0 = 0\nexit\n")
    path = tmp_path / "r"
    cli("record", str(path), "--jit", "--program", str(program), "vfs_read", "--", "cat", "/etc/motd")
    program.unlink()
    assert "nothing starts" in cli("replay", str(path), "--plain").stdout


def test_an_object_file_is_kept_in_the_recording_itself(tmp_path: Path, cli: Cli) -> None:
    path, file = tmp_path / "r", tmp_path / "count.o"
    file.write_bytes((PROGRAMS / "ok_count.o").read_bytes())
    cli("record", str(path), "--load", str(file), "--", "cat", "/etc/motd")
    file.unlink()
    result = cli("replay", str(path), "--json")
    assert result.exit_code == 0
    assert '"prog": "count_read"' in result.stdout


def test_a_demo_can_be_recorded_and_told_again(tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "r"
    assert cli("record", str(path), "--demo", "first-probe").exit_code == 0
    assert "0xCC" in cli("replay", str(path), "--plain", "--lang", "zh").stdout


def test_replay_in_json_is_one_event_a_line_and_the_same_each_time(made: Path, cli: Cli) -> None:
    first, second = (cli("replay", str(made), "--json").stdout for _ in range(2))
    assert first == second
    kinds = [json.loads(line)["kind"] for line in first.splitlines()]
    assert "kprobe.hit" in kinds


def test_diff_says_where_two_recordings_part_and_shows_both(made: Path, tmp_path: Path, cli: Cli) -> None:
    other = tmp_path / "other"
    cli("record", str(other), "--probe", "vfs_read", "--profile", "server", "--", "cat", "/etc/motd")
    assert cli("diff", str(made), str(made)).exit_code == 0
    told = cli("diff", str(made), str(other))
    assert told.exit_code == 1
    assert "profile" in told.stdout and "part there" in told.stdout
    plain = json.loads(cli("diff", str(made), str(other), "--json").stdout)
    assert (plain["same"], plain["memory"]) == (False, [])


def test_diff_of_lives_on_one_image_shows_registers_and_memory(made: Path, tmp_path: Path, cli: Cli) -> None:
    other = tmp_path / "other"
    cli("record", str(other), "--probe", "vfs_write", "--", "cat", "/etc/motd")
    plain = json.loads(cli("diff", str(made), str(other), "--json").stdout)
    assert plain["left"]["text"] == "register_kprobe vfs_read"
    assert plain["fields"] == ["text"]
    told = cli("diff", str(made), str(other), "--lang", "zh").stdout
    assert "从这里分开" in told


@pytest.mark.parametrize(
    ("form", "begins"), [("cast", '{"version": 3'), ("html", "<!doctype"), ("svg", "<svg"), ("json", "{")]
)
def test_export_writes_to_standard_output_or_to_a_file(
    made: Path, tmp_path: Path, cli: Cli, form: str, begins: str
) -> None:
    text = cli("export", str(made), "--to", form, "--lang", "zh").stdout
    assert text.startswith(begins)
    file = tmp_path / "out"
    assert cli("export", str(made), "--to", form, "--lang", "zh", "-o", str(file)).stdout == ""
    assert file.read_text(encoding="utf-8") == text


def test_what_if_on_a_demo_and_on_a_recording(made: Path, cli: Cli) -> None:
    told = cli("what-if", "rip-relative", "--without", "rip-relative")
    assert told.exit_code == 0
    assert "copy" in told.stdout and "panicked" in told.stdout
    plain = json.loads(cli("what-if", str(made), "--byte", "vfs_read+1=0f0b", "--json").stdout)
    assert plain["same"] is False
    assert json.loads(cli("what-if", str(made), "--register", "r15=1", "--at", "100", "--json").stdout)["change"]
    assert "profile" in cli("what-if", str(made), "--profile", "distro", "--lang", "zh").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("record", "{tmp}/r"), 2, "Give commands"),
        (("record", "{tmp}/r", "--demo", "x", "--", "ls"), 2, "Give commands"),
        (("record", "{tmp}/no/r", "--", "true"), 1, "cannot be written"),
        (("record", "{tmp}/r", "--program", "{tmp}/none", "vfs_read", "--", "true"), 1, "cannot be read"),
        (("replay", "{tmp}/none"), 1, "cannot be read"),
        (("replay", "{made}", "--plain", "--json"), 2, "exclude"),
        (("diff", "{made}", "{tmp}/none"), 1, "cannot be read"),
        (("export", "{made}", "--to", "gif"), 2, "gif"),
        (("export", "{made}", "--to", "cast", "--at", "3"), 2, "--at"),
        (("export", "{made}", "--to", "svg", "--at", "1"), 1, "no event 1"),
        (("export", "{made}", "--to", "svg", "--at", "99999"), 1, "no event 99,999"),
        (("what-if", "{made}"), 2, "one thing"),
        (("what-if", "{made}", "--without", "reentry", "--at", "3"), 2, "power-on"),
        (("what-if", "nosuch", "--without", "reentry"), 1, "neither a recording nor a demo"),
        (("what-if", "{made}", "--register", "rax"), 1, "NAME=VALUE"),
        (("what-if", "{made}", "--byte", "vfs_read=xx"), 1, "in hex"),
        (("what-if", "{made}", "--byte", "vfs_raed=90"), 1, "vfs_read"),
        (("what-if", "{made}", "--byte", "0x10=90"), 1, "mapped"),
        (("what-if", "{made}", "--register", "rax=1", "--at", "99999"), 1, "no event"),
    ],
)
def test_what_goes_wrong_is_told(
    made: Path, tmp_path: Path, cli: Cli, arguments: tuple[str, ...], status: int, said: str
) -> None:
    result = cli(*(argument.format(tmp=tmp_path, made=made) for argument in arguments))
    assert result.exit_code == status
    assert said in result.stderr


def test_none_of_these_commands_loads_the_screen(made: Path) -> None:
    done = kprobesim("export", str(made), "--to", "html")
    assert done.returncode == 0
    assert done.stdout.startswith("<!doctype")
