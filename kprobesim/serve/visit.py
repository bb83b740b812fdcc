"""The process of one visitor: the TUI, confined. Started by `kprobesim.serve.session`, never by hand.

Its arguments are recordings that the host offers beside the lessons and demos; its working folder is the visitor's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kprobesim.course import list_demos, list_lessons
from kprobesim.course.recorded import RecordedScenario
from kprobesim.i18n import default_language
from kprobesim.serve.confine import confine, limit
from kprobesim.tui import KprobesimApp

__all__ = ["main"]


def main(recordings: list[str]) -> int:
    """Run the app until the visitor leaves.

    Args:
        recordings: paths of files.

    Returns:
        the exit status.
    """
    offered = [RecordedScenario(Path(name)) for name in recordings]
    for scenario in offered:
        scenario.recording  # noqa: B018 - read now, as the file is out of reach later
    app = KprobesimApp(None, default_language(), scenarios=[*offered, *list_lessons(), *list_demos()])
    limit()
    confine(Path.cwd())
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
