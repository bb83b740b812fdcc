"""Object files in recordings: their bytes are in them, and are as little to be trusted as all the rest."""

import functools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab import Lab
from kprobesim.lab.recording import Recording, capture
from kprobesim.lab.recording import replay as live_again
from tests.bpf.object.objects import PROGRAMS
from tests.lab.experiment import rested, state_of


def lived(name: str, *, profile: str = "bare") -> Lab:
    """A life with an object: loaded, attached where its sections say, and run."""
    lab = Lab.open(profile=profile)
    lab.run()
    lab.load_object(PROGRAMS / name)
    lab.type("cat /etc/motd")
    lab.run()
    return lab


def replay(plain: dict[str, Any]) -> Lab:
    """A recording's life, by way of its file."""
    return live_again(Recording.from_json(json.loads(json.dumps(plain))))


@pytest.mark.parametrize("name", ["ok_count.o", "globals.o", "attach.o", "events.o", "trampoline.o"])
def test_a_life_with_an_object_is_recorded_and_lived_again(name: str) -> None:
    lab = lived(name, profile="distro" if name == "trampoline.o" else "bare")
    again = replay(capture(lab).as_json())
    assert again.events() == lab.events()
    again.seek_end()
    assert state_of(again) == state_of(lab)
    assert again.maps() == lab.maps()
    assert capture(again) == capture(lab)


def test_a_program_of_an_object_is_detached_again_too() -> None:
    lab = lived("ok_count.o")
    link = lab.attached("count_read")
    assert link is not None
    lab.detach(link)
    lab.type("cat /etc/motd")
    lab.run()
    assert replay(capture(lab).as_json()).events() == lab.events()


def test_two_of_one_name_are_told_apart() -> None:
    lab = lived("ok_count.o")
    lab.load_object((PROGRAMS / "ok_count.o").read_bytes(), name="ok_count.o")
    lab.type("cat /etc/motd")
    lab.run()
    again = replay(capture(lab).as_json())
    assert again.events() == lab.events()
    assert "count_read.2" in again.bpf.programs


def test_what_was_changed_after_it_was_read_cannot_be_recorded() -> None:
    lab = rested()
    lab.load_object(replace(lab.open_object(PROGRAMS / "ok_count.o"), license="Other"), attach=False)
    with pytest.raises(BadInput, match="object file that was changed or is too large"):
        capture(lab)


@functools.cache
def recorded() -> str:
    return json.dumps(capture(lived("ok_count.o")).as_json())


def with_object(**changes: Any) -> dict[str, Any]:
    """A recording whose object is another one."""
    plain: dict[str, Any] = json.loads(recorded())
    step = next(step for step in plain["inputs"] if step["kind"] == "load_object")
    step |= changes
    return plain


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bytes": "f"}, "hex digits"),
        ({"bytes": "zz"}, "hex digits"),
        ({"bytes": 5}, "text of at most"),
        ({"bytes": "00" * (1 << 20) + "00"}, "text of at most 2,097,152"),
        ({"bytes": ""}, "load_object.*cannot be done"),
        ({"bytes": "7f454c46" * 100}, "load_object.*cannot be done"),
        ({"name": "x" * 300}, "text of at most 255"),
        ({"more": 1}, "'more' is wrong"),
    ],
)
def test_a_damaged_object_is_refused_in_a_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        replay(with_object(**changes))


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_an_object_with_other_bytes_is_refused_or_is_another_life_and_never_a_crash(data: st.DataObject) -> None:
    raw = bytearray(bytes.fromhex(next(s for s in with_object()["inputs"] if s["kind"] == "load_object")["bytes"]))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = replay(with_object(bytes=raw.hex()))
    except KprobesimError:
        return
    assert again.event_count > 0
