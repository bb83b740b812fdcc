"""Recordings in forms that others can show: a terminal cast, a web page, a picture, JSON.

Each begins with `frames_of`, one frame for each event worth telling.
"""

from kprobesim.lab.export.cast import as_cast
from kprobesim.lab.export.frames import Frame, frames_of
from kprobesim.lab.export.page import as_page
from kprobesim.lab.export.svg import as_svg
from kprobesim.lab.export.trace import as_trace

__all__ = ["Frame", "as_cast", "as_page", "as_svg", "as_trace", "frames_of"]
