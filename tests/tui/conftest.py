"""What the tests of the screens share."""

import pytest


@pytest.fixture(autouse=True)
def own_progress(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's real progress is touched."""
    monkeypatch.setenv("KPROBESIM_DATA", str(tmp_path_factory.mktemp("data")))
