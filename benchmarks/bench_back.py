"""How long a step back by one instruction takes after a long run, and what a checkpoint costs."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from common import Toyix, report

from kprobesim.machine import Moment
from kprobesim.machine.checkpoints import Checkpoints

LENGTH = 100_000_000
STEPS = 40


def seconds_of(action: Callable[..., object], *arguments: object) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


def main() -> None:
    """Run, go back, report."""
    toyix = Toyix("spin -n 100000000")
    run = seconds_of(toyix.timeline.run, LENGTH)
    timeline, machine = toyix.timeline, toyix.machine
    first = seconds_of(timeline.seek, Moment(machine.retired - 1))
    nearby = [seconds_of(timeline.seek, Moment(machine.retired - 1)) for _ in range(STEPS)]
    places, random_places = random.Random(1), []
    for _ in range(STEPS):
        timeline.seek(Moment(places.randrange(LENGTH // 2, LENGTH)))
        random_places.append(seconds_of(timeline.seek, Moment(machine.retired - 1)))
    jumps = [seconds_of(timeline.seek, Moment(places.randrange(1_000_000, LENGTH))) for _ in range(STEPS)]
    checkpoints = Checkpoints(machine, [toyix.manager])
    checkpoints.take(0)
    takes = [seconds_of(checkpoints.take, 0) for _ in range(STEPS)]
    report(
        "back",
        {
            "instructions": LENGTH,
            "run_seconds": round(run, 2),
            "first_step_back_ms": round(first * 1e3, 2),
            "step_back_ms": round(statistics.median(nearby) * 1e3, 2),
            "step_back_at_random_places_ms": round(statistics.median(random_places) * 1e3, 2),
            "step_back_worst_ms": round(max(random_places + nearby) * 1e3, 2),
            "jump_anywhere_ms": round(statistics.median(jumps) * 1e3, 2),
            "checkpoint_ms": round(statistics.median(takes) * 1e3, 2),
        },
    )


if __name__ == "__main__":
    main()
