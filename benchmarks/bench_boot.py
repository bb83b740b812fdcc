"""How long toyix takes to its first user program, image opening and engine calibration included."""

from __future__ import annotations

import statistics
import time

from common import Toyix, report


def main() -> None:
    """Boot five times, report."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        toyix = Toyix()
        seconds.append(time.perf_counter() - start)
    report(
        "boot",
        {
            "instructions": toyix.machine.retired,
            "first_seconds": round(seconds[0], 3),
            "later_seconds": round(statistics.median(seconds[1:]), 3),
        },
    )


if __name__ == "__main__":
    main()
