"""The Textual application.

::

    from kprobesim.tui import run_app
    run_app(scenario, language="en")
"""

from kprobesim.tui.app import KprobesimApp, run_app
from kprobesim.tui.scenario import Scenario

__all__ = ["KprobesimApp", "Scenario", "run_app"]
