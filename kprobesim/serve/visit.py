"""The process of one visitor: the TUI, confined. Started by `kprobesim.serve.session`, never by hand.

Its first argument is the link to a teacher to follow, or empty; the others are recordings that the host offers beside
the lessons and demos. Its working folder is the visitor's own.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from kprobesim.classroom import read_link
from kprobesim.course import list_demos, list_lessons
from kprobesim.course.recorded import RecordedScenario
from kprobesim.i18n import default_language
from kprobesim.serve.confine import confine, limit
from kprobesim.tui import KprobesimApp
from kprobesim.tui.class_apps import FollowingApp
from kprobesim.tui.worker import end_workers

__all__ = ["main"]


def main(teacher: str, recordings: list[str]) -> int:
    """Run the app until the visitor leaves.

    Args:
        teacher: the link to the one whom the visitor follows, with a host in numbers; empty: nobody.
        recordings: paths of files.

    Returns:
        the exit status.
    """
    if teacher:
        link = read_link(teacher)
        return _run(FollowingApp(link, default_language()), (link.host, link.port))
    recorded = [RecordedScenario(Path(name)) for name in recordings]
    for scenario in recorded:
        scenario.recording  # noqa: B018 - read now, as the file is out of reach later
    return _run(KprobesimApp(None, default_language(), scenarios=lambda: [*recorded, *list_lessons(), *list_demos()]))


def _run(app: KprobesimApp, teacher: tuple[str, int] | None = None) -> int:
    # All of the machine, as what can be loaded later is less than what can be loaded now.
    import_module("kprobesim.lab.lab")
    limit()
    confine(Path.cwd(), teacher)
    try:
        app.run()
    finally:
        end_workers()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
