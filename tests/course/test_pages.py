"""A lesson's text as it is read: what its lines become once they are a paragraph."""

from pathlib import Path

import pytest

from kprobesim.course.pages import read_pages


def prose(source: str) -> str:
    """The text of the only page."""
    (page,) = read_pages(f"# Title\n\n{source}", Path("zh.md"), (), ())
    return page.parts[0].text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("一行在这里结束，\n下一行接着说。", "一行在这里结束，下一行接着说。"),
        ("- 一项很长，\n  还没有说完", "- 一项很长，还没有说完"),
        ("然后由\n`cat` 读取", "然后由\n`cat` 读取"),
        ("状态\n（`kprobe_status`）", "状态（`kprobe_status`）"),
        ("English ends here\nand goes on", "English ends here\nand goes on"),
        ("一段。\n\n又一段。", "一段。\n\n又一段。"),
        ("如下：\n\n```text\n一行\n二行\n```\n\n完。", "如下：\n\n```text\n一行\n二行\n```\n\n完。"),
    ],
)
def test_a_break_between_chinese_characters_leaves_no_gap(source: str, text: str) -> None:
    assert prose(source) == text
