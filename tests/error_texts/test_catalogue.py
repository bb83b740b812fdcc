"""The Chinese sentences of errors: as many as the source has, and found again from what an error says."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobesim.error_texts import entries, in_language
from kprobesim.errors import BadInput, LinuxError
from kprobesim.linux_errno import Errno
from tests.error_texts.sources import Sources
from tests.error_texts.templates import Found

_ROOMS = sorted(file.name.removesuffix(".toml") for file in (files("kprobesim.error_texts") / "zh").iterdir())
_CATALOGUE = {english: chinese for room in _ROOMS for english, chinese in entries(room).items()}


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources()


@pytest.fixture(scope="module")
def found(sources: Sources) -> Mapping[str, Found]:
    said: dict[str, Found] = {}
    for each in sources.sentences():
        earlier = said.setdefault(each.key, each)
        said[each.key] = Found(each.key, earlier.nested | each.nested, earlier.place)
    return said


def test_every_sentence_of_an_error_has_an_entry(found: Mapping[str, Found]) -> None:
    """Whoever adds an error adds what this prints to ``kprobesim/error_texts/zh/ROOM.toml``, in Chinese."""
    missing = [f"{said.place}\n    {json.dumps(key)} = " for key, said in found.items() if key not in _CATALOGUE]
    assert not missing, "no entry in kprobesim/error_texts/zh for\n" + "\n".join(sorted(missing))


def test_every_entry_has_an_error(found: Mapping[str, Found]) -> None:
    """Whoever rewords or removes an error does so in the catalogue too."""
    stale = sorted(set(_CATALOGUE) - set(found))
    assert not stale, "nothing in the source says\n" + "\n".join(stale)


def test_no_sentence_is_given_in_a_way_that_cannot_be_read_off_the_source(sources: Sources) -> None:
    list(sources.sentences())
    # The answer of a batch request, made of an error that was seen where it was raised.
    assert list(sources.opaque.values()) == ["str(result['error'])"]


def test_an_entry_is_in_one_file_only() -> None:
    twice = Counter(english for room in _ROOMS for english in entries(room))
    assert [english for english, times in twice.items() if times > 1] == []


def test_an_entry_fills_in_the_same_values_in_both_languages() -> None:
    for english, chinese in _CATALOGUE.items():
        holes = [
            sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None) for text in (english, chinese)
        ]
        assert holes[0] == holes[1], english


def test_a_value_that_is_a_sentence_is_translated_too(found: Mapping[str, Found]) -> None:
    for english, chinese in _CATALOGUE.items():
        said = {int(name or 0) for _, name, kind, _ in Formatter().parse(chinese) if kind == "say"}
        assert said >= found[english].nested, f"{english!r}: write {{N:say}} for {sorted(found[english].nested)}"


def test_what_is_made_of_a_template_is_found_again() -> None:
    for english, chinese in _CATALOGUE.items():
        made = re.sub(r"\{(\d+)\}", lambda hole: f"w{hole[1]}", english).replace("{{", "{").replace("}}", "}")
        has_words = any(letter.isalpha() for letter in re.sub(r"\{\d+\}", "", english))
        if has_words and english != chinese:
            assert in_language(made, "zh") != made, english


@pytest.mark.parametrize(
    ("error", "chinese"),
    [
        (
            BadInput("'frob' is not a place.", hint="Write 1234, i2500000 or 24.6ms."),
            "'frob' 不是位置。请写 1234、i2500000 或 24.6ms。",
        ),
        (
            LinuxError(
                Errno.EILSEQ,
                "vfs_read+0x2 is not an instruction boundary.",
                hint="The instruction that contains it begins at vfs_read+0x1.",
            ),
            f"{Errno.EILSEQ.text} (-EILSEQ)：vfs_read+0x2 不在指令边界上。包含它的指令从 vfs_read+0x1 开始。",
        ),
        (
            BadInput("a b.json: This is not a kprobesim recording.", hint="kprobesim record makes one."),
            "a b.json：这不是 kprobesim 的录制文件。kprobesim record 可以录一个。",
        ),
        (
            BadInput("An input of the recording (poke) cannot be done: Nothing is mapped at virtual address 0x10."),
            "录制里的一个输入（poke）做不了：virtual 地址 0x10 处没有映射任何东西。",
        ),
        (
            BadInput("lesson.toml:4: there is no event kind 'x'.", hint="docs/events.md lists them."),
            "lesson.toml:4：没有事件种类 'x'。docs/events.md 列出了有哪些。",
        ),
        (
            "Invalid argument (-EINVAL): R1 type=inv expected=ctx. Such programs need CAP_BPF.",
            "Invalid argument (-EINVAL)：R1 type=inv expected=ctx. 这样的程序需要 CAP_BPF。",
        ),
    ],
)
def test_an_error_is_told_in_chinese(error: Exception | str, chinese: str) -> None:
    assert in_language(error, "zh") == chinese
    assert in_language(error, "en") == str(error)


def test_the_lines_that_an_error_quotes_stay_as_they_are() -> None:
    quoted = "\n  r1 = r99\n          ^"
    text = "line 3, column 9: 'r99' is no operand. Expected a register or a number." + quoted
    assert in_language(text, "zh") == "第 3 行第 9 列：'r99' 不是操作数。这里应当是寄存器或数。" + quoted


@pytest.mark.parametrize("text", ["", "Something else is bad.", "x: y", "Invalid argument", "a (-b): c", ". . . : : :"])
def test_what_has_no_entry_stays_english(text: str) -> None:
    assert in_language(text, "zh") == text


@given(st.text(alphabet=st.sampled_from("ab .:?!()-'{}0中。\n"), max_size=200))
def test_any_text_has_an_answer(text: str) -> None:
    in_language(text, "zh")


@pytest.mark.parametrize(
    "piece",
    [
        "a: ",
        "x is no number. ",
        "The recording is damaged: ",
        "line 1, column 2: ",
        "Map a: 3 elements fit. ",
        "a (b): ",
    ],
)
def test_a_hostile_text_does_not_hang_the_search(piece: str) -> None:
    """One that fits a template at very many places; the time is the suite's limit for a test."""
    in_language(piece * (3_900 // len(piece)), "zh")
    assert in_language(piece * 100_000, "zh") == piece * 100_000
