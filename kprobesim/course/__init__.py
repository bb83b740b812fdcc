"""Lessons and demos: what they are, and the experiment each begins with."""

from kprobesim.course.library import find_demo, find_lesson, lessons_folder, list_demos, list_lessons
from kprobesim.course.scenario import Scenario, read_scenario

__all__ = [
    "Scenario",
    "find_demo",
    "find_lesson",
    "lessons_folder",
    "list_demos",
    "list_lessons",
    "read_scenario",
]
