"""A recording is the life it was made of, on any machine, and nothing else passes for one."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kprobesim.bpf import assemble
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab import Lab, Moment
from kprobesim.lab.recording import Recording, capture, load_recording, replay, save_recording
from kprobesim.lab.recording.shape import INPUT_KINDS
from tests.lab.experiment import by_pid, rested, state_of
from tests.lab.recording.lives import full, with_rings

# Living it again


def test_a_replay_is_the_same_life_and_stands_at_the_same_moment() -> None:
    lab, recording = full()
    again = replay(recording)
    assert again.events() == lab.events()
    assert state_of(again) == state_of(lab)
    for one in (lab, again):
        one.seek_end()
    assert state_of(again) == state_of(lab)
    lab.seek(recording.moment)


def test_a_recording_of_a_replay_is_the_same_recording() -> None:
    _, recording = full()
    assert capture(replay(recording), recording.bookmarks, recording.notes) == recording


def test_every_kind_of_input_but_those_of_fprobes_was_in_that_life() -> None:
    _, recording = full()
    assert {step.kind for step in recording.inputs} == set(INPUT_KINDS) - {"fprobe", "unregister_fprobe"}


def test_what_user_space_read_and_filled_is_recorded_and_read_again() -> None:
    lab = rested()
    taken, samples, records = with_rings(lab)
    assert taken is True and samples == [(5).to_bytes(8, "little")] and records
    again = replay(Recording.from_json(json.loads(json.dumps(capture(lab).as_json()))))
    assert again.events() == lab.events()
    again.seek_end()
    assert state_of(again) == state_of(lab)
    assert again.read_ringbuf("ring") == lab.read_ringbuf("ring") == []


def test_fprobes_and_assembled_programs_are_recorded_too() -> None:
    lab = Lab.open(profile="distro", cpus=2, seed=5)
    lab.run()
    fprobe = lab.fprobe("vfs_*", notfilter="vfs_write")
    lab.load_program(assemble(by_pid()), "from_object", verified=False)
    lab.type("cat /etc/motd")
    lab.run()
    lab.unregister_fprobe(fprobe)
    again = replay(Recording.from_json(json.loads(json.dumps(capture(lab).as_json()))))
    assert again.events() == lab.events()


def test_a_life_that_goes_on_after_the_replay_is_the_same_too() -> None:
    lab, recording = full()
    first, second = replay(recording), replay(recording)
    for one in (first, second):
        one.seek_end()
        one.type("echo more")
        one.run()
    assert first.events() == second.events()
    assert first.event_count > lab.event_count


def test_what_calls_a_python_function_cannot_be_recorded() -> None:
    lab = rested()
    lab.kprobe("vfs_read", pre_handler=lambda probe, regs: 0)
    with pytest.raises(BadInput, match="Python function"):
        capture(lab)


# Files


def test_a_file_gives_back_what_was_saved_and_is_written_in_one_piece(tmp_path: Path) -> None:
    _, recording = full()
    path = tmp_path / "录制.kprobesim"
    path.write_text("before")
    save_recording(recording, path)
    assert load_recording(path) == recording
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_where_nothing_can_be_written_the_old_file_stays(tmp_path: Path) -> None:
    _, recording = full()
    with pytest.raises(KprobesimError, match="cannot be written"):
        save_recording(recording, tmp_path / "no" / "folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(KprobesimError, match="cannot be written"):
        save_recording(recording, tmp_path / "folder")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_what_is_no_file_stays_what_it_is() -> None:
    path = Path("/dev/full")
    if not path.is_char_device():
        pytest.skip("no /dev/full here")
    _, recording = full()
    with pytest.raises(KprobesimError, match="No space left on device"):
        save_recording(recording, path)
    assert path.is_char_device()


def test_a_file_that_was_cut_off_says_so_wherever_it_was_cut(tmp_path: Path) -> None:
    _, recording = full()
    path = tmp_path / "cut"
    save_recording(recording, path)
    whole = path.read_bytes()
    for size in range(1, len(whole) - 2, 97):
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"complete|not a recording"):
            load_recording(path)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"[]", b"null", b'{"format": 3}'])
def test_what_is_no_recording_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(BadInput):
        load_recording(tmp_path / "file")


def test_what_is_too_large_or_not_there_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as opened:
        opened.truncate(1 << 30)
    for name, said in (("large", "larger"), ("missing", "cannot be read"), (".", "cannot be read")):
        with pytest.raises(BadInput, match=said):
            load_recording(tmp_path / name)


# Others' recordings


def changed(**changes: Any) -> dict[str, Any]:
    plain = copy.deepcopy(full()[1].as_json())
    return {**plain, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "format version 2"),
        ({"version": "x" * 1000}, "format version"),
        ({"cpus": 9}, "cpus"),
        ({"cpus": True}, "cpus"),
        ({"profile": "fast"}, "no profile"),
        ({"head": 1 << 60}, "head"),
        ({"start": 1 << 40}, "start"),
        ({"events_sha256": "g" * 64}, "hex"),
        ({"without": ["everything"]}, "without"),
        ({"inputs": [{}] * 10_001}, "more than"),
        ({"inputs": [{"kind": "shell"}]}, "not a kind"),
        ({"inputs": [{"kind": "type", "text": 1, "insn": 0, "resting": True}]}, "text"),
        ({"inputs": [{"kind": "type", "text": "x" * 5000, "insn": 0, "resting": True}]}, "4,095"),
        ({"inputs": [{"kind": "detach", "insn": 0, "resting": True, "of": 5}]}, "of must"),
        ({"inputs": [{"kind": "interrupt", "insn": 0, "resting": True, "of": 0}]}, "takes nothing away"),
        ({"bookmarks": [{"moment": [1, 2], "note": ""}]}, "three numbers"),
        ({"moment": None}, "three numbers"),
        ({"surprise": 1}, "unknown key"),
    ],
)
def test_a_damaged_recording_is_refused_with_the_place(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Recording.from_json(changed(**changes))


def test_a_recording_of_another_build_of_the_kernel_is_refused() -> None:
    with pytest.raises(BadInput, match="another build of the kernel toyix"):
        replay(Recording.from_json(changed(image_sha256="0" * 64)))


def test_a_life_that_is_not_the_recorded_one_is_told() -> None:
    with pytest.raises(KprobesimError, match="events are others"):
        replay(Recording.from_json(changed(events_sha256="0" * 64)))
    plain = changed()
    plain["inputs"][3]["text"] = "cat /etc/motd"
    with pytest.raises(KprobesimError, match="parts from the recording"):
        replay(Recording.from_json(plain))


def test_an_input_that_cannot_be_done_is_told() -> None:
    plain = changed()
    plain["inputs"][2]["where"] = "no_such_function"
    with pytest.raises(BadInput, match=r"attach.*ENOENT"):
        replay(Recording.from_json(plain))


def test_a_replay_can_be_interrupted() -> None:
    _, recording = full()
    with pytest.raises(KprobesimError, match="interrupted"):
        replay(recording, interrupt=lambda: True)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_changed_in_a_recording_reading_it_ends_in_a_recording_or_a_sentence(data: st.DataObject) -> None:
    plain: Any = changed()
    place, key = plain, data.draw(st.sampled_from(sorted(plain)))
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.lists(st.integers())
        | st.dictionaries(st.text(), st.text())
    )
    try:
        recording = Recording.from_json(plain)
    except BadInput as error:
        assert str(error).endswith(".")
    else:
        assert Recording.from_json(recording.as_json()) == recording
        assert isinstance(recording.moment, Moment)
