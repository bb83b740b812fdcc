"""The words of a lesson: what both languages share, and how what the machine says is written."""

from __future__ import annotations

from pathlib import Path

from kprobesim.course import LessonSession, find_lesson, read_lesson
from kprobesim.course.lint import lint_texts


def test_remarks_in_blocks_that_are_only_shown_are_in_the_language_of_the_text(folder: Path) -> None:
    for kind, chinese, wrong in (("asm", "ret  回去", 0), ("asm", "ret\nret", 1), ("memory", "vfs_read  cc", 1)):
        for name, block in (("en.md", "ret  back"), ("zh.md", chinese)):
            text = (folder / name).read_text(encoding="utf-8").partition("\n```added")[0]
            (folder / name).write_text(f"{text}\n```added\n```\n```{kind}\n{block}\n```\n", encoding="utf-8")
        told = [line for line in lint_texts(read_lesson(folder)) if "not the same" in line]
        assert len(told) == wrong


def test_a_value_that_is_one_of_bits_is_told_in_hexadecimal() -> None:
    session = LessonSession.open(find_lesson("29-fetch-args"))
    revealed = session.reveal("the-return", "en")
    assert revealed.value == "0xffffffef"
    assert session.lesson.predictions["the-return"].options[revealed.right - 1].text["en"] == "-17"
