"""``kprobesim lesson``: without a screen, and for graders."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kprobesim.course import find_lesson
from tests.cli.console import Cli

ID = "01-the-first-probe"
WAY = """
check
step 3
check
predict the-slot 1
reveal the-slot
step 3
check
reveal saved-ip
run until kprobe.hit
check
run until map.update
check
run until kprobe.resume
step
check
seek start
check
"""


@pytest.fixture
def solution(tmp_path: Path) -> Path:
    """An answer that passes."""
    path = tmp_path / "answer.txt"
    lines = [str(action) for task in find_lesson(ID).tasks for action in task.solution]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(("lang", "over"), [("en", "The lesson is done"), ("zh", "本课结束")])
def test_a_whole_lesson_can_be_done_as_text_in_each_language(cli: Cli, lang: str, over: str) -> None:
    result = cli("lesson", "run", "1", "--plain", "--lang", lang, given=WAY)
    assert result.exit_code == 0
    assert over in result.stdout
    assert "vfs_read+0x1" in result.stdout
    assert json.loads(cli("lesson", "list", "--json").stdout.splitlines()[0])["state"] == "done"
    assert cli("lesson", "check", "1").exit_code == 0


def test_a_lesson_goes_on_where_it_was_left(cli: Cli) -> None:
    first = cli("lesson", "run", ID, given="step 3\ncheck\n")
    assert "Your progress is kept" in first.stdout
    second = cli("lesson", "run", ID, given="reveal the-slot\nstep 3\ncheck\n")
    assert "## 2. A slot and a byte" in second.stdout and "1. A program" not in second.stdout
    assert "Task done" in second.stdout


def test_mistakes_are_sentences_and_the_lesson_goes_on(cli: Cli) -> None:
    result = cli("lesson", "run", ID, given="fly\nstep much\nreveal x\nanswer a-program 1\nattach a b\nstep 3\ncheck\n")
    assert result.exit_code == 0
    assert "'fly' is not an action" in result.stdout
    assert "Task done" in result.stdout


def test_every_command_of_the_help_is_one(cli: Cli) -> None:
    commands = [
        "check",
        "hint",
        "solution",
        "step",
        "back",
        "look",
        "text",
        "explore",
        "return",
        "reset",
        "skip",
        "help",
    ]
    result = cli("lesson", "run", ID, given="\n".join([*commands, "quit"]))
    assert "is not an action" not in result.stdout
    for command in commands[:-1]:
        assert command in result.stdout


def test_an_answer_that_solves_everything_passes(cli: Cli, solution: Path, tmp_path: Path) -> None:
    junit = tmp_path / "result.xml"
    result = cli("lesson", "check", ID, "--answer", str(solution), "--json", "--junit", str(junit))
    assert result.exit_code == 0
    table = json.loads(result.stdout)
    assert table["passed"] and table["met"] == table["of"] == len(find_lesson(ID).tasks)
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == (str(table["of"]), "0")


def test_an_answer_that_does_not_says_which_goal_and_why(cli: Cli, tmp_path: Path) -> None:
    answer, junit = tmp_path / "a.txt", tmp_path / "r.xml"
    way = ["run until trap", "run to sysvec_serial_interrupt", "answer who-was-interrupted vfs_read"]
    answer.write_text("\n".join(way), encoding="utf-8")
    result = cli("lesson", "check", "03-a-trap", "--answer", str(answer), "--junit", str(junit))
    assert result.exit_code == 1
    assert "vfs_read is not it" in result.stdout
    suite = ElementTree.parse(junit).getroot()[0]
    failures = suite.findall("testcase/failure")
    assert suite.get("failures") == str(len(failures)) == "2"
    assert "vfs_read is not it" in (failures[0].get("message") or "")


def test_github_classroom_reads_base64_of_points(
    cli: Cli, solution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "output"
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))
    result = cli("lesson", "check", ID, "--answer", str(solution), "--github")
    table = json.loads(base64.b64decode(result.stdout))
    assert (table["version"], table["status"]) == (3, "pass")
    assert sum(test["score"] for test in table["tests"]) == table["max_score"]
    assert output.read_text() == f"result={result.stdout}"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"fly\n", "Line 1: 'fly' is not an action"), (b"\xff", "not UTF-8"), (b"#" * (1 << 19), "larger than")],
    ids=range(3),
)
def test_an_answer_that_cannot_be_read_is_status_1(cli: Cli, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    result = cli("lesson", "check", ID, "--answer", str(tmp_path / "a.txt"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_an_answer_that_stops_half_way_is_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("step 3\nattach nosuch vfs_read\n", encoding="utf-8")
    result = cli("lesson", "check", ID, "--answer", str(tmp_path / "a.txt"))
    assert result.exit_code == 1
    assert "'attach nosuch vfs_read'" in result.stderr
    assert "[met] a-program" in result.stdout


def test_a_new_lesson_is_in_order_and_can_be_run(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "my-lesson"
    assert cli("lesson", "new", str(folder)).exit_code == 0
    assert cli("lesson", "lint", str(folder)).exit_code == 0
    assert "Task 1 of 1" in cli("lesson", "run", f"{folder}", given="reveal which-ring\n").stdout
    assert cli("lesson", "new", str(folder)).exit_code == 1
    assert cli("lesson", "new", str(tmp_path / "My Lesson")).exit_code == 1


def test_lint_tells_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "my-lesson"
    cli("lesson", "new", str(folder))
    path = folder / "lesson.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"run until syscall nr=1"', '"step"'), encoding="utf-8")
    result = cli("lesson", "lint", str(folder))
    assert result.exit_code == 1
    assert "task the-write: not met by its solution" in result.stdout


def test_progress_that_could_not_be_saved_is_not_called_kept(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a file where the folder should be"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("KPROBESIM_DATA", str(blocked))
    said = cli("lesson", "run", "1", "--plain", "--lang", "en", given="step 3\ncheck\nquit\n").output
    assert "could not be saved" in said
    assert "Your progress is kept" not in said
