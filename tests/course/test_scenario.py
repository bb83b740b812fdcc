"""Demos: reading their descriptions, also hostile ones, and the experiment each begins with."""

from pathlib import Path

import pytest

from kprobesim.course import find_demo, list_demos, read_scenario
from kprobesim.errors import BadInput
from kprobesim.lab import Moment

GOOD = 'format_version = 1\n[title]\nen = "t"\nzh = "t"\n[summary]\nen = "s"\nzh = "s"\n'


def write(folder: Path, text: str | bytes) -> Path:
    (folder / "demo.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    scenario = read_scenario(write(tmp_path, GOOD), "demo.toml")
    assert (scenario.kernel, scenario.profile, scenario.cpus, scenario.seed) == ("toyix", "bare", 1, 0)
    assert (scenario.title("zh"), scenario.text("zh")) == ("t", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "format_version = 2",
        "format_version",
        b"\xff\xfe",
        "a = " + "[" * 5000,
        "a = " + "9" * 5000,
        GOOD + "[setup]\ncpus = true",
        GOOD + '[setup]\ncpus = "2"',
        GOOD + "[setup]\nprobe = 1",
        GOOD + '[setup]\nprogram = "../x.bpf"',
        GOOD + '[setup]\nkernel = "/etc/passwd"',
        GOOD + '[setup]\nkernel = "other.elf"',
        GOOD + '[setup]\nkernl = "toyix"',
        GOOD.replace("[title]\nen", "[title]\nfr"),
        "setup = 1\n" + GOOD,
        "unknown = 1\n" + GOOD,
        "#" * (1 << 21),
    ],
    ids=range(17),
)
def test_a_damaged_description_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(BadInput, match=r"demo\.toml"):
        read_scenario(write(tmp_path, text), "demo.toml")


def test_a_missing_description_or_program_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_scenario(tmp_path, "demo.toml")
    scenario = read_scenario(write(tmp_path, GOOD + '[setup]\nprogram = "none.bpf"'), "demo.toml")
    with pytest.raises(BadInput, match=r"none\.bpf"):
        scenario.open()


def test_every_demo_opens_at_its_beginning_with_its_future_known() -> None:
    for demo in list_demos():
        lab = demo.open()
        assert lab.moment == Moment(lab.start)
        assert lab.event_count > lab.seq
        assert demo.title("zh") and demo.summary("zh")


def test_a_demo_that_is_not_there_is_told_with_a_near_one() -> None:
    with pytest.raises(BadInput, match="Did you mean first-probe"):
        find_demo("first-prob")
