"""The transcripts of the READMEs are what the program prints, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from kprobesim.cli.demo import command

ROOT = Path(__file__).resolve().parents[2]
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-CN.md"}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

pytestmark = pytest.mark.skipif(not READMES["en"].is_file(), reason="README.md is only in a checkout")


def without_numbers(line: str) -> str:
    """Times, addresses of data and process numbers change with every rebuild of a kernel."""
    return re.sub(r"\d+\.\d+ ms|0x[0-9a-f]{9,}|\[\d+\]", "#", line.strip())


@pytest.mark.parametrize("language", READMES)
def test_the_transcript_is_what_the_demo_prints(language: str) -> None:
    source = READMES[language].read_text(encoding="utf-8")
    block = re.search(r"^```console\n\$ kprobesim demo first-probe.*?\n(.*?)^```$", source, re.MULTILINE | re.DOTALL)
    assert block is not None
    result = CliRunner().invoke(command, ["first-probe", "--plain", "--lang", language])
    assert result.exit_code == 0, result.output
    printed = [without_numbers(line) for line in result.output.splitlines()]
    at = 0
    for line in block[1].splitlines():
        quoted = without_numbers(line)
        at = next((number for number in range(at, len(printed)) if printed[number].startswith(quoted)), -1) + 1
        assert at, f"not printed, or not in this order: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    source = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:kprobesim|kernels|lessons|docs|tests)/[\w./-]+)`", source):
        assert (ROOT / name).exists(), name
    if page.name.startswith("how-it-works"):
        for name in re.findall(r"`((?:machine|image|bpf|kprobes|tracing|lab)/\w+\.py)`", source):
            assert (ROOT / "kprobesim" / name).exists(), name


def test_the_python_example_of_both_readmes_runs() -> None:
    for language, path in READMES.items():
        source = path.read_text(encoding="utf-8")
        block = re.search(r"^```python\n(.*?)^```$", source, re.MULTILINE | re.DOTALL)
        assert block is not None
        assert f'"{language}"' in block[1]
        exec(compile(block[1], path.name, "exec"), {})
