"""The steps that a lesson's text lists, and how many of them may be read."""

from pathlib import Path

import pytest

from kprobesim.course import Trail
from kprobesim.course.pages import pages_until, read_pages

TEXT = """\
# Title

```events
→  trap
→  gate
```

Between.

```text
→  no step
```

<!-- task one -->

Behind.

```seen
Space  handler
```

## Empty

## Last

<!-- predict which -->

```events
←  gate
```

<!-- show stack -->

<!-- task two -->
"""


@pytest.mark.parametrize(
    ("over", "revealed", "listed"),
    [((), (), 2), (("one",), (), 3), (("one",), ("which",), 4), (("one", "two"), ("which",), 4)],
)
def test_as_many_steps_are_listed_as_stand_in_what_may_be_read(
    over: tuple[str, ...], revealed: tuple[str, ...], listed: int
) -> None:
    pages = read_pages(TEXT, Path("en.md"), ("one", "two"), ("which",))
    trail = Trail(pages)
    assert [step.wanted for step in trail.steps] == ["trap", "gate", "handler", "gate"]
    assert trail.listed(pages_until(pages, over, revealed)) == listed
