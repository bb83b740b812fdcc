"""Every row of the reference table on kprobes that must or should hold has a test that names it, or a reason why not.

The table is `reference/kprobes.md` in the folder ``shared`` beside the checkout; without it only the list of reasons is
looked at. A test names a row in its docstring, or a range of rows with the word "to" between the first and the last.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
REFERENCE = TESTS.parents[1] / "shared" / "reference" / "kprobes.md"
MISSING = TESTS / "rows_missing.txt"
ROW = re.compile(r"^\| ([A-Z]{3}-\d\d) \| ([^|]*)\|", re.MULTILINE)
NAMED = re.compile(r"\b([A-Z]{3})-(\d\d)(?: to ([A-Z]{3})-(\d\d))?")

needs_reference = pytest.mark.skipif(not REFERENCE.exists(), reason="the reference is not beside this checkout")


def rows(*priorities: str) -> list[str]:
    """Ids of the rows of some priorities: M, S, O."""
    found = ROW.findall(REFERENCE.read_text(encoding="utf-8"))
    return [row for row, priority in found if priority.strip(" *")[0] in priorities]


@cache
def covered() -> frozenset[str]:
    """Ids that the docstring of a test, of a class of tests or of a file of tests names."""
    ids = set()
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                ids |= named(ast.get_docstring(node) or "")
    return frozenset(ids)


def named(text: str) -> set[str]:
    ids = set()
    for first_group, first, last_group, last in NAMED.findall(text):
        end = int(last) if last and last_group == first_group else int(first)
        ids |= {f"{first_group}-{number:02}" for number in range(int(first), end + 1)}
    return ids


def reasons() -> dict[str, str]:
    """Why rows have no test, by id."""
    lines = (line.strip() for line in MISSING.read_text(encoding="utf-8").splitlines())
    return {line[:6]: line[6:].strip() for line in lines if line and not line.startswith("#")}


@needs_reference
@pytest.mark.parametrize("priority", ["M", "S"])
def test_every_row_has_a_test_that_names_it_or_a_reason(priority: str) -> None:
    wanted = rows(priority)
    assert len(wanted) > 20
    assert [row for row in wanted if row not in covered() and row not in reasons()] == []


@needs_reference
def test_a_reason_is_given_for_rows_of_the_table_only() -> None:
    assert [row for row in reasons() if row not in rows("M", "S", "O")] == []


def test_no_reason_is_left_for_a_row_that_has_a_test() -> None:
    assert [row for row in reasons() if row in covered()] == []


def test_each_reason_says_something() -> None:
    assert all(len(reason.split()) >= 4 for reason in reasons().values())


def test_a_range_of_rows_names_all_of_them() -> None:
    """A range counts for each of its rows."""
    assert named("AAA-01 to AAA-03, and BBB-07: this.") == {"AAA-01", "AAA-02", "AAA-03", "BBB-07"}
