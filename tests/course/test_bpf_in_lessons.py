"""What lessons about BPF read off the machine, do in user space's place, and say of programs that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from kprobesim.course import LessonSession, read_lesson
from kprobesim.course.actions import parse_action
from kprobesim.course.pages import fenced_blocks
from kprobesim.course.readings import check_reading, read_value
from kprobesim.course.replay import play_text
from kprobesim.errors import BadInput

LESSONS = Path(__file__).parents[2] / "lessons"


def do(session: LessonSession, *lines: str) -> None:
    for line in lines:
        session.act(parse_action(line))


def test_registers_and_stack_of_a_program_are_read_while_it_runs() -> None:
    session = LessonSession.open(read_lesson(LESSONS / "20-registers-and-stack"))
    with pytest.raises(BadInput, match="No BPF program is running"):
        read_value(session.lab, "bpf r6")
    do(session, "run until bpf.enter")
    assert read_value(session.lab, "bpf pc") == 0
    assert read_value(session.lab, "bpf r1") == read_value(session.lab, "event ctx")
    do(session, "step bpf 2")
    assert read_value(session.lab, "bpf r6") == read_value(session.lab, "bpf fp-8") == 4096
    do(session, "back bpf 1")
    assert (read_value(session.lab, "bpf pc"), read_value(session.lab, "bpf fp-8")) == (1, 0)


@pytest.mark.parametrize("word", ["r11", "fp-7", "fp-513", "fp", "r", "r01", "pc1", "r٣"])
def test_what_no_program_has_cannot_be_read(word: str) -> None:
    with pytest.raises(BadInput, match="r0 to r10"):
        check_reading(f"bpf {word}")


def test_what_user_space_has_read_is_unread_again_after_going_back() -> None:
    session = LessonSession.open(read_lesson(LESSONS / "26-ring-buffer-and-perf-events"))
    do(session, "seek end", "consume samples", "$ cat /etc/hostname")
    assert read_value(session.lab, "count ringbuf.submit wakeup=1") == 2
    read = next(event for event in session.lab.events() if event.fields.get("text") == "ring_buffer__consume samples")
    do(session, f"seek {read.seq - 1}", "$ cat /etc/hostname")
    assert read_value(session.lab, "count ringbuf.submit wakeup=1") == 1
    assert read_value(session.lab, "count ringbuf.submit") == 2


def test_perf_rings_are_there_once_user_space_listens() -> None:
    session = LessonSession.open(read_lesson(LESSONS / "26-ring-buffer-and-perf-events"))
    do(session, "seek end", "attach perf vfs_read", "$ cat /etc/hostname")
    assert read_value(session.lab, "count perf.output") == 0
    do(session, "listen rings", "$ cat /etc/hostname", "consume rings")
    assert read_value(session.lab, "count perf.output") > 0


@pytest.mark.parametrize("name", ["nosuch", "counts"])
def test_what_is_no_ring_buffer_is_not_consumed_as_one(name: str) -> None:
    session = LessonSession.open(read_lesson(LESSONS / "21-helpers-and-maps"))
    do(session, "seek end")
    with pytest.raises(BadInput):
        do(session, f"consume {name}")


def test_a_refused_program_is_refused_with_the_words_that_the_text_quotes(folder: Path) -> None:
    quoted = "```bpf rejected {}\n  exit\n```\n"
    english = (folder / "en.md").read_text(encoding="utf-8")
    for words, wrong in (("R0 !read_ok", 0), ("", 0), ("R1 !read_ok", 1)):
        (folder / "en.md").write_text(f"{english}\n{quoted.format(words)}", encoding="utf-8")
        assert len(list(play_text(read_lesson(folder), "en"))) == wrong


def test_a_block_behind_a_prediction_belongs_to_the_task_before_it() -> None:
    text = "<!-- task one -->\n<!-- predict two -->\n```do\nrun\n```\n"
    assert [block.after for block in fenced_blocks(text)] == ["one"]
