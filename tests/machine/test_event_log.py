"""The event log is bounded."""

from __future__ import annotations

import pytest

from kprobesim.errors import EventLogFull
from kprobesim.lab import Lab, Moment


def test_a_full_log_stops_the_machine_with_a_sentence_and_the_past_can_still_be_visited() -> None:
    lab = Lab.open("toyix")
    lab.run()
    lab.machine.log.capacity = lab.event_count + 20
    lab.kprobe("vfs_read")
    lab.type("cat /home/notes.txt")
    with pytest.raises(EventLogFull, match="The event log is full"):
        lab.run()
    assert lab.event_count == lab.machine.log.capacity
    lab.seek(Moment(lab.start))
    assert lab.moment == Moment(lab.start)
