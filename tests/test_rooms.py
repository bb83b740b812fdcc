"""The rooms: each imports only those below it, and every table of texts speaks both languages."""

import subprocess
import sys
from pathlib import Path

import pytest

from kprobesim.i18n import LANGUAGES, Texts, default_language

REPOSITORY = Path(__file__).resolve().parents[1]


def test_import_contracts_are_kept() -> None:
    if not (REPOSITORY / "pyproject.toml").is_file():
        pytest.skip("contracts are only in a checkout")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_tables_have_the_same_keys_in_both_languages() -> None:
    texts = Texts("kprobesim.lab.texts")
    english, chinese = (texts.keys(language) for language in LANGUAGES)
    assert english.keys() == chinese.keys()
    assert texts.get("zh", "no.such.key") is None


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"KPROBESIM_LANG": "zh", "LC_ALL": "C"}, "zh"),
        ({"LC_CTYPE": "UTF-8"}, "en"),
    ],
)
def test_language_follows_the_environment(
    variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KPROBESIM_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_language() == language
