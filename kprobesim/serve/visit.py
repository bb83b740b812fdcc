"""The process of one visitor: the TUI, confined. Started by `kprobesim.serve.session`, never by hand.

Its first argument is the link to a teacher to follow, or empty; the others are recordings that the host offers beside
the lessons and demos. Its working folder is the visitor's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kprobesim.classroom import read_link
from kprobesim.course import list_demos, list_lessons
from kprobesim.course.recorded import RecordedScenario
from kprobesim.i18n import default_language
from kprobesim.serve.confine import confine, limit
from kprobesim.tui import KprobesimApp
from kprobesim.tui.class_apps import FollowingApp

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
    offered = [RecordedScenario(Path(name)) for name in recordings]
    for scenario in offered:
        scenario.recording  # noqa: B018 - read now, as the file is out of reach later
    return _run(KprobesimApp(None, default_language(), scenarios=[*offered, *list_lessons(), *list_demos()]))


def _run(app: KprobesimApp, teacher: tuple[str, int] | None = None) -> int:
    limit()
    confine(Path.cwd(), teacher)
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
