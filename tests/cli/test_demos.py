"""``kprobesim demo``: every demo that ships, told in both languages, and its predictions."""

import json

import pytest

from kprobesim.course import find_demo, list_demos
from kprobesim.i18n import LANGUAGES
from tests.cli.console import Cli

DEMOS = [demo.id for demo in list_demos()]


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_is_told_in_both_languages(name: str, cli: Cli) -> None:
    demo = find_demo(name)
    for language in LANGUAGES:
        told = cli("demo", name, "--plain", "--lang", language).stdout
        assert told.startswith(demo.title(language))
        for pause in demo.pauses:
            question, answer = told.index(pause.question(language)), told.index(pause.answer(language))
            assert question < answer
        for _, remarks in demo.refused:
            assert remarks[language] in told


def test_the_demos_are_listed(cli: Cli) -> None:
    assert [line.split()[0] for line in cli("demo", "--list").stdout.splitlines()] == DEMOS


def test_predictions_stand_between_events_in_json(cli: Cli) -> None:
    lines = [json.loads(line) for line in cli("demo", "first-probe", "--json", "--predictions").stdout.splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds.count("demo.prediction") == 3
    assert kinds[kinds.index("demo.prediction") + 1] == "text.poke"
    assert [line["seq"] for line in lines if "seq" in line] == sorted(line["seq"] for line in lines if "seq" in line)


def test_refusals_stand_before_the_events_in_json(cli: Cli) -> None:
    told = cli("demo", "verifier-says-no", "--json", "--predictions").stdout
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line["kind"] for line in lines[:3]] == ["demo.refusal"] * 3
    assert "map_value_or_null" in lines[0]["log"]
