"""What the tests of the command line share."""

import pytest

from tests.cli.console import Cli


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KPROBESIM_LANG", "en")
    return Cli(monkeypatch)
