"""What the tests of the command line share."""

import pytest

from tests.cli.console import Cli


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KPROBESIM_LANG", "en")
    monkeypatch.setenv("KPROBESIM_DATA", str(tmp_path_factory.mktemp("data")))
    return Cli(monkeypatch)
