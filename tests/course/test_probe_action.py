"""The action that sets a probe: without handlers, or with a post_handler."""

from __future__ import annotations

from pathlib import Path

import pytest

from kprobesim.course.actions import parse_action
from kprobesim.course.perform import Budget, perform
from kprobesim.errors import BadInput
from kprobesim.lab import Lab


def post_handlers_after(line: str) -> int:
    lab = Lab.open("toyix", profile="bare", optimization=False)
    for action in (line, "$ cat /etc/motd"):
        perform(lab, parse_action(action), Path(), Budget())
    return sum(event.kind == "kprobe.post_handler" for event in lab.events(0, lab.seq))


def test_a_probe_with_the_word_post_has_a_post_handler() -> None:
    assert post_handlers_after("probe vfs_read+0x4 mine post") > 0


def test_a_probe_without_it_has_none() -> None:
    assert post_handlers_after("probe vfs_read+0x4 mine") == 0


@pytest.mark.parametrize("line", ["probe", "probe vfs_read mine pre", "probe vfs_read mine post post"])
def test_what_is_not_a_probe_is_refused_when_it_is_read(line: str) -> None:
    with pytest.raises(BadInput, match="probe needs PLACE"):
        parse_action(line)
