"""A learner in a lesson: checking, hints, predictions, leaving and coming back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.course import LessonSession, Trail, find_lesson
from kprobesim.course.aside import read_file
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab import Moment

DOING = st.lists(
    st.sampled_from(["$ cat /etc/motd", "type ls /", "probe vfs_write", "step 3", "back", "run until syscall",
                     "step instruction 5", "seek start", "run"]),
    max_size=5,
)  # fmt: skip


def state(session: LessonSession) -> object:
    lab = session.lab
    return (
        lab.moment,
        lab.registers(),
        lab.seq,
        lab.console,
        lab.kprobes(),
        lab.maps(),
        lab.read(lab.kernel.symbol("vfs_read"), 64),
    )


def do(session: LessonSession, lines: list[str]) -> None:
    for line in lines:
        try:
            session.do(line)
        except KprobesimError as error:
            assert error.message


def test_the_start_is_before_everything_and_the_future_is_known(session: LessonSession) -> None:
    assert session.lab.moment == Moment(session.lab.start)
    assert session.lab.event_count > session.lab.seq
    assert session.task is not None
    assert session.task.id == "a-program"


def test_a_goal_says_what_it_asks_and_why_it_is_not_met_in_each_language(session: LessonSession) -> None:
    english, chinese = session.check("en"), session.check("zh")
    assert not english.met
    assert "bpf.load" in english.goals[0].text and "the newest event is" in english.goals[0].why
    assert "最新的事件是" in chinese.goals[0].why


def test_events_that_lie_ahead_do_not_count(session: LessonSession) -> None:
    task = session.lesson.task("one-byte")
    assert not any(goal.met for goal in session.report(task, "en").goals)
    session.do("step 10")
    assert session.report(task, "en").met
    session.do("seek start")
    assert not session.report(task, "en").met


def test_another_way_to_the_same_place_counts_as_well(session: LessonSession) -> None:
    session.do("run until bpf.attach")
    session.do("back 6")
    assert session.check("en").met


def test_hints_come_one_rung_at_a_time_and_the_last_one_stays(session: LessonSession) -> None:
    hints = [session.hint("en") for _ in range(4)]
    assert len(set(hints)) == 2
    assert hints[1] == hints[2] == hints[3]


def test_an_answer_is_compared_with_what_the_machine_works_out() -> None:
    session = LessonSession.open(find_lesson("03-a-trap"))
    for task in ("the-interrupt", "the-handler"):
        assert session.task is not None and session.task.id == task
        session.skip()
    before = state(session)
    for given_, met in (("vfs_read", False), ("2", False), ("", False), ("native_safe_halt+2", True)):
        session.answer(given_)
        assert session.check("en").met == met
    assert state(session) == before


def test_a_prediction_is_made_before_and_not_after(session: LessonSession) -> None:
    before = state(session)
    with pytest.raises(BadInput, match="no option 3"):
        session.predict("saved-ip", 3)
    session.predict("saved-ip", 1)
    revealed = session.reveal("saved-ip", "en")
    assert (revealed.chosen, revealed.right, revealed.value) == (1, 2, "vfs_read+0x1")
    assert state(session) == before
    with pytest.raises(BadInput, match="shown already"):
        session.predict("saved-ip", 2)


def test_the_text_is_held_back_at_a_prediction(session: LessonSession) -> None:
    session.skip()
    held = session.visible("en")[-1]
    assert held.title == "2. A slot and a byte"
    assert held.parts[-1].text == "the-slot"
    session.reveal("the-slot", "en")
    assert session.visible("en")[-1].parts[-1].text == "one-byte"


def test_all_text_is_visible_at_the_end(session: LessonSession) -> None:
    while session.task is not None:
        session.skip()
    assert session.visible("zh") == session.pages("zh")
    with pytest.raises(BadInput, match="over"):
        session.check("en")


@settings(max_examples=8, deadline=None)
@given(DOING, DOING)
def test_coming_back_is_exactly_where_one_left(before: list[str], meanwhile: list[str]) -> None:
    session = SHARED
    session.reset(everything=True)
    do(session, before)
    there, future = state(session), session.lab.events()
    session.explore()
    do(session, meanwhile)
    session.come_back()
    assert state(session) == there
    assert session.lab.events()[: len(future)] == future


SHARED = LessonSession.open(find_lesson("01-the-first-probe"))


def test_what_is_done_while_exploring_does_not_count(session: LessonSession) -> None:
    session.explore()
    session.do("step 3")
    assert session.check("en").met
    session.come_back()
    assert session.progress.done == []


def test_a_file_is_read_without_the_machine_moving(session: LessonSession) -> None:
    before = state(session)
    assert (
        read_file(session.lab, "/etc/motd")
        == "This is toyix: a kernel small enough to read, on a machine that can run backwards.\n"
    )
    assert read_file(session.lab, "/no/such/file") is None
    assert state(session) == before


def test_reset_brings_back_the_known_future(session: LessonSession) -> None:
    future = session.lab.event_count
    session.do("$ ls /")
    session.reset()
    assert session.lab.moment == Moment(session.lab.start)
    assert session.lab.event_count == future


@pytest.mark.parametrize(
    "line", ["", "fly", "load nosuch.bpf", "attach nosuch vfs_read", "unprobe vfs_read", "seek 99999999",
             "run to nowhere", "probe nosuch", "answer nosuch 1", "predict nosuch 1", "detach x",
             "run until trap vectr=1"]
)  # fmt: skip
def test_an_action_that_makes_no_sense_is_one_sentence(session: LessonSession, line: str) -> None:
    before = state(session)
    with pytest.raises(KprobesimError):
        session.do(line)
    assert state(session) == before


@pytest.mark.parametrize("name", ["28-kprobe-events-by-hand", "29-fetch-args"])
def test_a_lesson_that_begins_behind_its_start_goes_back_to_where_it_began_and_no_further(name: str) -> None:
    session = LessonSession.open(find_lesson(name))
    lab = session.lab
    began, behind = lab.moment, lab.seq
    for away in ("$ cat /etc/motd", "step instruction 3", "run"):
        session.do(away)
        session.do("seek start")
        assert (lab.moment, lab.seq) == (began, behind)
    for grain in ("phase", "instruction", "line", "hit"):
        session.do(f"back {grain}")
        assert (lab.moment, lab.seq) == (began, behind)


def test_steps_listed_behind_a_task_begin_where_it_was_done_also_without_steps() -> None:
    session = LessonSession.open(find_lesson("20-registers-and-stack"))
    trail = Trail(session.pages("en"))
    trail.begin(0, session.lab.moment)
    made = []
    for line, passed in (
        ("run until kprobe.hit", 0),
        ("step", 1),
        ("step bpf", 2),
        ("step bpf", 3),
        ("step bpf 2", 4),
        ("step", 5),
    ):
        session.do(line)
        trail.follow(session.lab, passed)
        made.append((trail.made, trail.astray))
    assert made == [(1, 0), (2, 0), (2, 0), (2, 0), (2, 0), (3, 0)]
