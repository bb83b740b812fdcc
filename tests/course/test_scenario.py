"""Demos: reading their descriptions, also hostile ones, the experiment each begins with, and playing them all."""

from pathlib import Path

import pytest

from kprobesim.course import find_demo, list_demos, read_scenario
from kprobesim.course.scenario import Pause, Refusal, Scenario
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab import Event, Moment
from kprobesim.lab.recording import Recording, capture, replay

GOOD = 'format_version = 2\n[title]\nen = "t"\nzh = "题"\n[summary]\nen = "s"\nzh = "要"\n'
PAUSE = '[question]\nen = "q"\nzh = "问"\n[pause.answer]\nen = "a"\nzh = "答"\n'
DEMOS = [demo.id for demo in list_demos()]


def write(folder: Path, text: str | bytes) -> Path:
    (folder / "demo.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    scenario = read_scenario(write(tmp_path, GOOD), "demo.toml")
    start = scenario.start
    assert (start.kernel, start.profile, start.cpus, start.seed) == ("toyix", "bare", 1, 0)
    assert (scenario.title("zh"), scenario.text("zh"), scenario.pauses) == ("题", "", ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "format_version = 1",
        "format_version",
        b"\xff\xfe",
        "a = " + "[" * 5000,
        "a = " + "9" * 5000,
        GOOD + "[start]\ncpus = true",
        GOOD + '[start]\ncpus = "2"',
        GOOD + '[start]\ndo = "load ../x.bpf extra"',
        GOOD + '[start]\nkernel = "/etc/passwd"',
        GOOD + '[start]\nkernel = "other.elf"',
        GOOD + '[start]\ndo = "step"',
        GOOD + "surprise = 1",
        GOOD + '[[refused]]\nprogram = "../x.bpf"\nremark.en = "r"\nremark.zh = "r"',
        GOOD + '[[pause]]\nbefore = "no.such"\nquestion = 1',
        GOOD + '[[pause]]\nbefore = "trap"\nfields = { nothing = 1 }\n[pause.question]\nen="q"\nzh="q"',
        GOOD + '[ends]\nafter = "trap"\nnth = 0',
        GOOD.replace('zh = "题"', ""),
        "start = 1\n" + GOOD,
        "#" * (1 << 21),
    ],
    ids=range(20),
)
def test_a_damaged_description_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(BadInput, match=r"demo\.toml"):
        read_scenario(write(tmp_path, text), "demo.toml")


def test_a_missing_description_or_program_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_scenario(tmp_path, "demo.toml")
    scenario = read_scenario(write(tmp_path, GOOD + '[start]\ndo = "load none.bpf"'), "demo.toml")
    with pytest.raises(BadInput, match=r"none\.bpf"):
        scenario.open()


def test_a_program_that_is_not_refused_is_a_failure_of_the_demo(tmp_path: Path) -> None:
    (tmp_path / "fine.bpf").write_text("r0 = 0\nexit\n")
    text = GOOD + '[[refused]]\nprogram = "fine.bpf"\n[refused.remark]\nen = "r"\nzh = "r"\n'
    scenario = read_scenario(write(tmp_path, text), "demo.toml")
    with pytest.raises(KprobesimError, match="is accepted"):
        list(scenario.scenes(scenario.open()))


def test_there_are_at_least_eight_demos() -> None:
    assert len(DEMOS) >= 8


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_plays_to_its_end_with_every_prediction_and_can_be_recorded(name: str) -> None:
    demo = find_demo(name)
    lab = demo.open()
    assert lab.moment == Moment(lab.start)
    scenes = list(demo.scenes(lab))
    assert [scene for scene in scenes if isinstance(scene, Pause)] == sorted(
        demo.pauses, key=lambda pause: scenes.index(pause)
    )
    assert len([scene for scene in scenes if isinstance(scene, Refusal)]) == len(demo.refused)
    for pause in demo.pauses:
        answer = scenes[scenes.index(pause) + 1]
        assert isinstance(answer, Event) and pause.before.holds(lab, answer)
    _ends(demo, scenes[-1])
    recording = capture(lab)
    assert replay(Recording.from_json(recording.as_json())).events() == lab.events()


def _ends(demo: Scenario, last: object) -> None:
    assert isinstance(last, Event)
    if demo.ends is not None:
        assert last.kind == demo.ends.kind


def test_a_demo_that_is_not_there_is_told_with_a_near_one() -> None:
    with pytest.raises(BadInput, match="Did you mean first-probe"):
        find_demo("first-prob")
