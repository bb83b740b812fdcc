"""docs/events.md is what the code declares."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.machine import Event, Moment, event_json
from tests.scripts import load_script

DOCS = Path(__file__).resolve().parents[2] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="docs/ is only in a checkout")


def test_the_page_is_up_to_date() -> None:
    stored = (DOCS / "events.md").read_text(encoding="utf-8")
    assert stored == load_script(DOCS / "generate_events.py").page(), "run: python docs/generate_events.py"


def test_every_kind_has_a_section() -> None:
    titles = re.findall(r"^### `(.+)`$", (DOCS / "events.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(titles) == sorted(EVENT_KINDS)


def test_the_example_is_an_event_as_it_is_printed() -> None:
    line = re.search(r"```json\n(.+)\n```", (DOCS / "events.md").read_text(encoding="utf-8"))
    assert line is not None
    example = json.loads(line[1])
    fields = {
        "addr": int(example["addr"], 16),
        "symbol": example["symbol"],
        "old": bytes.fromhex(example["old"]),
        "new": bytes.fromhex(example["new"]),
    }
    event = Event(example["seq"], example["ns"], example["cpu"], example["kind"], Moment(1), fields)
    assert event_json(event, EVENT_KINDS) == example
