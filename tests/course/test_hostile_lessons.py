"""Lessons from strangers: whatever is in them, the answer is a lesson or one sentence, soon."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.course import LessonSession, lessons_folder, read_lesson
from kprobesim.course.lint import lint_lesson
from kprobesim.course.template import new_lesson
from kprobesim.errors import BadInput, KprobesimError

GOOD = (lessons_folder() / "01-the-first-probe" / "lesson.toml").read_text(encoding="utf-8")
GOOD_TEXT = (lessons_folder() / "01-the-first-probe" / "en.md").read_text(encoding="utf-8")
ID = "01-the-first-probe"
TOKENS = st.sampled_from(
    ["[", "]", "{", "}", '"""', "\n", "=", "[[task]]\n", "[start]\n", "0x", "-1", "true", "\0", "\u202e", "../",
     "9" * 40, "1979-05-27", "nan", "inf", "{ ge = 1 }", "kind", "run until trap\n", "end\n", "<!-- task x -->\n"]
)  # fmt: skip


def read(text: str, prose: str = GOOD_TEXT) -> KprobesimError | None:
    """Read a lesson of this text in both languages; what it is refused with."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / ID
        folder.mkdir()
        (folder / "lesson.toml").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        for name in ("en.md", "zh.md"):
            (folder / name).write_text(prose, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            lesson = read_lesson(folder)
            lesson.text("en")
            lesson.text("zh")
        except BadInput as error:
            assert str(folder) in str(error)
            return error
    return None


def test_the_good_one_is_good() -> None:
    assert read(GOOD) is None


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, 400), TOKENS)
def test_a_piece_replaced_gives_a_lesson_or_a_sentence(at: int, length: int, token: str) -> None:
    read(GOOD[:at] + token + GOOD[at + length :])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(GOOD_TEXT)), st.integers(0, 4_000), TOKENS)
def test_a_text_with_a_piece_replaced_gives_a_lesson_or_a_sentence(at: int, length: int, token: str) -> None:
    read(GOOD, GOOD_TEXT[:at] + token + GOOD_TEXT[at + length :])


VALUES: st.SearchStrategy[object] = st.one_of(
    st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(), st.text(max_size=40), st.just([]), st.just({})
)


def dumped(value: object) -> str:
    """A value as TOML, without tables in arrays."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(mark):08x}" for mark in value if not 0xD800 <= ord(mark) < 0xE000) + '"'
    return {"[]": "[]", "{}": "{}"}.get(repr(value), repr(value))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([line for line in GOOD.splitlines() if re.match(r"[\w.]+ = ", line)]), VALUES)
def test_a_value_of_another_type_gives_a_lesson_or_a_sentence(line: str, value: object) -> None:
    text = GOOD.replace(line, f"{line.split(' = ')[0]} = {dumped(value)}", 1)
    if '"""' not in line:
        read(text)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("minutes = 10", "minutes = 10\nmintes = 1", r"lesson.toml:\d+: 'mintes' is not a key.*Allowed: .*minutes"),
        ("cpus = 1", "cpus = 1\ncpu = 2", r"start: 'cpu' is not a key.*Allowed: kernel, profile, cpus"),
        ('event = "bpf.load"', 'event = "bpf.lod"', r"task 1, goal 1.*no event kind 'bpf.lod'"),
        ('where = { symbol =', 'where = { symbl =', r"kprobe.hit has no field 'symbl'.*symbol"),
        ('kind = "memory"', 'kind = "python"', r"kind cannot be 'python'.*Allowed: event"),
        ("load by_pid.bpf", "load ../../etc/passwd", r"start: do: Line 1: load needs FILE"),
        ("load by_pid.bpf", "import os", r"'import' is not an action"),
        ('solution = "step 3"', 'solution = "step 999999"', r"neither a grain nor a count"),
        ('kernel = "toyix"', 'kernel = "/etc/shadow"', r"name of an image that ships"),
        ('part = "kprobes"', 'part = "cooking"', r"part cannot be 'cooking'"),
        ('id = "one-byte"', 'id = "a-program"', r"two tasks"),
        ('id = "one-byte"', 'id = "One Byte"', r"small letters"),
        ("format_version = 2", "format_version = 3", r"made for another version"),
        ('id = "01-the-first-probe"', 'id = "02-other"', r"the folder is called"),
        ('narration = "brief"', 'narration = "none"', r"narration cannot be 'none'.*Allowed: full, brief"),
        ("cpus = 1", "cpus = 99", r"cpus must be 1 to 8"),
        ("machine = {", "right = 1\nmachine = {", r"either right or machine"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place_and_what_is_allowed(old: str, new: str, told: str) -> None:
    assert old in GOOD
    error = read(GOOD.replace(old, new, 1))
    assert error is not None
    assert re.search(told, str(error))


def test_a_text_that_does_not_fit_the_tasks_is_told() -> None:
    for old, new, told in (
        ("<!-- task one-byte -->", "", "task one-byte has no mark"),
        ("<!-- task one-byte -->", "<!-- task two-bytes -->", "no task two-bytes"),
        ("<!-- task one-byte -->", "<!-- task a-program -->", "a mark already"),
        ("<!-- task one-byte -->", "<!-- show heap -->\n<!-- task one-byte -->", "no panel heap"),
        ("<!-- task one-byte -->", f"<!-- show maps: {'x' * 33} -->\n<!-- task one-byte -->", "more than 32 cells"),
        ("# The first probe", "The first probe", "begins with its title"),
    ):
        error = read(GOOD, GOOD_TEXT.replace(old, new, 1))
        assert error is not None
        assert told in str(error)


def test_nothing_outside_of_the_folder_is_read(folder: Path) -> None:
    secret = folder.parent / "secret.bpf"
    secret.write_text("r0 = 0\nexit\n")
    (folder / "link.bpf").symlink_to(secret)
    session = LessonSession.open(read_lesson(folder))
    with pytest.raises(BadInput, match="leads out of"):
        session.do("load link.bpf")
    (folder / "en.md").unlink()
    (folder / "en.md").symlink_to("/etc/hostname")
    with pytest.raises(BadInput, match="leads out of"):
        session.pages("en")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no FIFOs")
def test_a_file_that_is_none_does_not_hang(folder: Path) -> None:
    (folder / "zh.md").unlink()
    if sys.platform != "win32":
        os.mkfifo(folder / "zh.md")
    with pytest.raises(BadInput, match="no such file"):
        read_lesson(folder).pages("zh")


def test_a_start_that_never_ends_is_ended() -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "endless"
        new_lesson(folder)
        path = folder / "lesson.toml"
        path.write_text(path.read_text(encoding="utf-8").replace("$ echo hello", "$ spin 100000"), encoding="utf-8")
        assert [line for line in lint_lesson(folder) if "takes too long" in line]


def test_the_template_is_a_good_lesson(folder: Path) -> None:
    assert list(lint_lesson(folder)) == []
    assert tomllib.loads((folder / "lesson.toml").read_text(encoding="utf-8"))["id"] == "small"
