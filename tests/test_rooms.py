"""The rooms: each imports only those below it, and every table of texts speaks both languages."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

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


_LIKE_CODE = re.compile(r"\b[\w.-]+\([^()]*\)|`[^`]*`|\[[^]]*\]|https?://\S+")
"""Calls, quotes, options in brackets: what is in there is not prose."""
_CHINESE = "[\u4e00-\u9fff]"
_AMONG_CHINESE = re.compile(rf"{_CHINESE} ?[,;?!()]|{_CHINESE}:|[,:;?!)]{_CHINESE}|\({_CHINESE}")  # " : " is a key


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.relative_to(REPOSITORY).as_posix()) for path in sorted(
        [*REPOSITORY.glob("kprobesim/**/texts/zh.toml"), *REPOSITORY.glob("kprobesim/error_texts/zh/*.toml")]
    )],
)  # fmt: skip
def test_chinese_has_its_own_punctuation(path: Path) -> None:
    """A comma, colon, bracket of ASCII next to Chinese looks like a mistake."""
    texts = _texts(tomllib.loads(path.read_text(encoding="utf-8")))
    assert texts
    wrong = [text for text in texts if _AMONG_CHINESE.search(_LIKE_CODE.sub("x", text))]
    assert wrong == []


def _texts(table: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for value in table.values():
        found += _texts(value) if isinstance(value, dict) else [str(value)]
    return found


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
