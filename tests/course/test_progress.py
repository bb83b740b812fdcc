"""Progress: saved whole or not at all, resumed exactly, and never lost to a file that cannot be read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.course import LessonSession, Progress, ProgressStore
from kprobesim.errors import KprobesimError


def again(session: LessonSession, store: ProgressStore) -> LessonSession:
    return LessonSession.open(session.lesson, store)


def test_a_lesson_is_resumed_where_it_was_left(small: LessonSession, store: ProgressStore) -> None:
    small.do("$ cat /etc/motd")
    small.do("probe vfs_read mine")
    small.do("$ cat /home/notes.txt")
    small.do("back hit")
    small.hint("en")
    small.predict("which-ring", 2)
    small.save()
    resumed = again(small, store)
    assert resumed.notice == ""
    assert resumed.progress == small.progress
    assert resumed.lab.moment == small.lab.moment
    assert resumed.lab.registers() == small.lab.registers()
    assert resumed.lab.events() == small.lab.events()


def test_done_tasks_stay_done(small: LessonSession, store: ProgressStore) -> None:
    small.do("run until syscall nr=1")
    assert small.check("en").met
    assert again(small, store).is_done


def test_what_cannot_be_done_again_is_told_and_the_tasks_are_kept(small: LessonSession, store: ProgressStore) -> None:
    small.do("run until syscall nr=1")
    small.check("en")
    small.lab.type("behind the session's back")
    with pytest.raises(KprobesimError):
        small.do("attach nosuch vfs_read")
    resumed = again(small, store)
    assert "begins at the start" in resumed.notice
    assert resumed.is_done
    assert resumed.lab.moment.insn == resumed.lab.start


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"{}", b'{"format_version": 2}', b"[" * 100_000, b'{"format_version": 1}', b"0" * (1 << 21)],
    ids=range(8),
)
def test_a_foreign_file_is_kept_aside_and_told(small: LessonSession, store: ProgressStore, content: bytes) -> None:
    path = store.path("small")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    resumed = again(small, store)
    assert "kept as small.json.unreadable-1" in resumed.notice
    assert path.with_name("small.json.unreadable-1").read_bytes() == content
    resumed.hint("en")
    assert store.load("small")[0].hints == {"the-write": 1}


def test_several_foreign_files_are_all_kept(store: ProgressStore) -> None:
    store.folder.mkdir()
    for content in ("one", "two"):
        store.path("x").write_text(content)
        assert store.load("x")[1]
    assert sorted(path.read_text() for path in store.folder.iterdir()) == ["one", "two"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: what is longer cannot be written."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    else:
        yield


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot limit the size of its files")
def test_a_full_disk_is_told_and_what_was_saved_stays(small: LessonSession, store: ProgressStore) -> None:
    small.hint("en")
    saved = store.path("small").read_bytes()
    with files_of_at_most(10):
        small.skip()
    assert "could not be saved" in small.notice
    assert store.path("small").read_bytes() == saved
    assert [path.name for path in store.folder.iterdir()] == ["small.json"]
    small.save()
    assert small.notice == ""
    assert store.load("small")[0].skipped == ["the-write"]


def test_a_folder_that_cannot_be_made_is_told(small: LessonSession, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KprobesimError, match="could not be saved"):
        ProgressStore(tmp_path / "file").save("small", small.progress)


NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
PROGRESS = st.builds(
    Progress,
    done=st.lists(NAMES, max_size=4),
    skipped=st.lists(NAMES, max_size=4),
    hints=st.dictionaries(NAMES, st.integers(0, 9), max_size=3),
    answers=st.dictionaries(NAMES, st.text(max_size=30), max_size=3),
    choices=st.dictionaries(NAMES, st.integers(0, 9), max_size=3),
    revealed=st.lists(NAMES, max_size=3),
    kept=st.integers(0, 5),
    inputs=st.lists(st.tuples(st.integers(0, 1 << 40), st.text(max_size=30)), max_size=3),
    head=st.integers(0, 1 << 40),
    moment=st.one_of(st.just(()), st.tuples(st.integers(0, 1 << 40), st.integers(0, 9), st.integers(0, 9))),
    task_seq=st.integers(0, 1 << 30),
    lost=st.booleans(),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> ProgressStore:
    return ProgressStore(tmp_path_factory.mktemp("progress"))


@settings(max_examples=60, deadline=None)
@given(progress=PROGRESS)
def test_what_is_saved_is_what_is_loaded(shared: ProgressStore, progress: Progress) -> None:
    shared.save("x", progress)
    assert shared.load("x") == (progress, "")


@settings(max_examples=100, deadline=None)
@given(progress=PROGRESS, key=st.sampled_from(list(Progress.__dataclass_fields__)), value=st.one_of(
    st.none(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3), st.just({"A B": 1}), st.floats()
))  # fmt: skip
def test_a_damaged_value_is_a_sentence_or_harmless(
    shared: ProgressStore, progress: Progress, key: str, value: object
) -> None:
    shared.save("y", progress)
    table = json.loads(shared.path("y").read_text(encoding="utf-8"))
    table[key] = value
    text = json.dumps(table)
    shared.path("y").write_text(text, encoding="utf-8")
    _, notice = shared.load("y")
    kept = [path for path in shared.folder.glob("y.json*") if path.read_text(encoding="utf-8") == text]
    assert kept
    for path in shared.folder.glob("y.json.*"):
        path.unlink()
    assert not notice or "unreadable" in notice
