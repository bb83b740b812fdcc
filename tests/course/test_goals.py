"""Each kind of goal: not met at first, met when it is done, said in both languages; and readings."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from kprobesim.course import LessonSession, lessons_folder, read_lesson
from kprobesim.course.aside import read_file
from kprobesim.course.conditions import Condition
from kprobesim.course.finding import View
from kprobesim.course.goals import GOAL_KINDS, TEXTS, Goal, read_goal
from kprobesim.course.readings import first_event, read_value
from kprobesim.course.strict import Strict
from kprobesim.errors import BadInput
from kprobesim.i18n import LANGUAGES

CASES = [
    ("event", 'event = "syscall"\nwhere = { nr = 257 }', "run until syscall nr=257"),
    ("event", 'event = "kprobe.hit"\ncount = { ge = 2, lt = 3 }', "run until kprobe.hit\nrun until kprobe.hit"),
    ("event", 'event = "input"\nsince = "task"\nwhere = { text = { contains = "ls" } }', "$ ls /"),
    ("at", 'event = "trap"\nwhere = { vector = 3, rip = "vfs_read+0x1" }', "run until trap vector=3"),
    ("at", 'phase = "slot"\nring = 0', "run until kprobe.singlestep\nstep"),
    ("at", 'place = "vfs_read"', "run to vfs_read"),
    ("order", 'events = [{ event = "kprobe.hit" }, { event = "map.update" }, { event = "kprobe.resume" }]',
     "run until kprobe.resume"),
    ("memory", 'place = "vfs_read"\nbytes = "cc 48"', "run until bpf.attach"),
    ("value", 'read = "map counts"\nis = 2', "run until map.update\nrun until map.update"),
    ("value", 'read = "register rip"\nis = "vfs_write"', "run to vfs_write"),
    ("map", 'map = "counts"\nkey = 4\nvalue = { ge = 2 }', "seek end"),
    ("file", 'path = "/tmp/x"\ncontains = "hello"\nlacks = "world"', "$ sh\n$ echo hello > /tmp/x"),
    ("file", 'path = "/sys/kernel/debug/kprobes/list"\ncontains = "vfs_read"', "seek end"),
    ("console", 'contains = "the counter passed"', "seek end"),
    ("kprobe", 'place = "vfs_read"\nstate = "armed"', "seek end"),
    ("kprobe", 'place = "mine"', "probe vfs_write mine"),
]  # fmt: skip


def goal(kind: str, text: str) -> Goal:
    return read_goal(Strict(tomllib.loads(f'kind = "{kind}"\n{text}'), Path("lesson.toml"), text))


@pytest.fixture(scope="module")
def opened() -> LessonSession:
    return LessonSession.open(read_lesson(lessons_folder() / "01-the-first-probe"))


@pytest.fixture
def session(opened: LessonSession) -> Iterator[LessonSession]:
    opened.reset(everything=True)
    yield opened


def view(session: LessonSession) -> View:
    starts = {"start": first_event(session.lab), "task": session.progress.task_seq}
    return View(session.lab, starts, None, session.compute, partial(read_file, session.lab))


@pytest.mark.parametrize(("kind", "text", "way"), CASES, ids=[f"{kind}-{way.split()[0]}" for kind, _, way in CASES])
def test_a_goal_is_not_met_at_the_start_and_is_when_it_is_done(
    session: LessonSession, kind: str, text: str, way: str
) -> None:
    wanted = goal(kind, text)
    before = wanted.check(view(session))
    assert not before.met
    for line in way.splitlines():
        session.do(line)
    after = wanted.check(view(session))
    assert after.met
    for language in LANGUAGES:
        assert wanted.why(language, before)
        assert wanted.why(language, after) == ""
        assert wanted.text(language, before) and wanted.text(language, after)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('is = [16, "sixteen"]', "0x10"),
        ('machine = { after = "run until trap vector=3", read = "event rip" }', "vfs_read+1"),
    ],
)
def test_an_answer_is_right_however_it_is_written(session: LessonSession, text: str, answer: str) -> None:
    wanted = goal("answer", f'question = {{ en = "?", zh = "？" }}\n{text}')
    before = view(session)
    assert not wanted.check(before).met
    assert not wanted.check(replace(before, answer="7")).met
    assert wanted.check(replace(before, answer=answer)).met


def test_every_kind_has_a_case() -> None:
    assert {kind for kind, _, _ in CASES} | {"answer"} == set(GOAL_KINDS)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("event", 'event = "trap"\ncount = "many"'),
        ("kprobe", 'place = "vfs_read"\nstate = "absent"'),
        ("file", 'path = "/no/such"\ncontains = "x"'),
        ("value", 'read = "nmissed vfs_write"\nis = 1'),
        ("value", 'read = "byte 0x10"\nis = 1'),
        ("memory", 'place = "no_such_symbol"\nbytes = "cc"'),
        ("map", 'map = "none"'),
    ],
)
def test_what_cannot_be_seen_is_not_met_and_says_so(session: LessonSession, kind: str, text: str) -> None:
    session.do("seek end")
    wanted = goal(kind, text)
    finding = wanted.check(view(session))
    assert not finding.met
    assert all(wanted.why(language, finding) for language in LANGUAGES)


def test_that_no_memory_is_mapped_is_told_in_the_learners_language(session: LessonSession) -> None:
    wanted = goal("value", 'read = "byte 0x10"\nis = 1')
    assert wanted.why("zh", wanted.check(view(session))) == "现在 0x10 处没有映射内存。"


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("console", 'contains = "x"\nsince = "task"', "It has not; nothing was printed yet."),
        ("file", 'path = "/sys/kernel/tracing/kprobe_events"\ncontains = "x"', "It does not fit; the file is empty."),
        ("map", 'map = "counts"', "The map is empty."),
        ("kprobe", 'place = "vfs_write"', "There is no kprobe there."),
        ("kprobe", 'place = "vfs_read"\nstate = "absent"', "There is one, and it is armed."),
    ],
)
def test_what_is_empty_or_not_there_is_called_that(session: LessonSession, kind: str, text: str, told: str) -> None:
    session.do("run until bpf.attach")
    wanted = goal(kind, text)
    assert wanted.why("en", wanted.check(view(session))) == told


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("event", 'event = "trap"\nwhere = { vector = { like = 3 } }'),
        ("event", 'event = "trap"\nwhere = { vector = {} }'),
        ("at", ""),
        ("order", 'events = [{ event = "trap" }]'),
        ("memory", 'place = "x"\nbytes = "c"'),
        ("value", 'read = "python 1"\nis = 1'),
        ("value", 'read = "register rip"'),
        ("file", 'path = "/etc/motd; rm -r /"\ncontains = "x"'),
        ("file", 'path = "etc"\ncontains = "x"'),
        ("file", 'path = "/etc/motd"'),
        ("console", 'contains = ""'),
        ("kprobe", 'place = "x"\nstate = "happy"'),
        ("answer", 'question = { en = "?", zh = "?" }'),
        ("answer", 'question = { en = "?" }\nis = 1'),
        ("answer", 'question = { en = "?", zh = "?" }\nis = 3\noption = [{ text = "a" }, { text = "b" }]'),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused(kind: str, text: str) -> None:
    with pytest.raises(BadInput, match=r"lesson\.toml"):
        goal(kind, text)


def test_both_languages_have_the_same_sentences_with_the_same_places() -> None:
    english, chinese = TEXTS.keys("en"), TEXTS.keys("zh")
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", chinese[key])), key


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        ("register cs", 0x10),
        ("event vector", 3),
        ("count trap vector=3", 1),
        ("byte vfs_read", 0xCC),
        ("half vfs_read", 0x48CC),
        ("long vfs_read", 0xE58948CC),
        ("bytes 2 vfs_read", b"\xcc\x48"),
        ("entries counts", 0),
        ("nmissed vfs_read", 0),
        ("place", "vfs_read+0x1"),
        ("phase", "#BP"),
        ("status", "NONE"),
        ("ring", 0),
        ("task", "cat"),
        ("pid", 4),
        ("if", 1),
    ],
)
def test_a_reading_is_what_the_machine_has(session: LessonSession, reading: str, value: object) -> None:
    session.do("run until trap vector=3")
    assert read_value(session.lab, reading) == value


def test_an_address_equals_its_name_its_number_and_its_digits(session: LessonSession) -> None:
    address = session.lab.kernel.symbol("vfs_read")
    for wanted in ("vfs_read", "vfs_read+0x0", f"{address:#x}", str(address), address):
        assert Condition((("eq", wanted),)).holds(session.lab, address)
    assert not Condition((("eq", "vfs_write"),)).holds(session.lab, address)
    assert Condition((("eq", "cc 48"),)).holds(session.lab, b"\xcc\x48")
