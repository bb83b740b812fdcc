"""Lessons and demos: what they are, the experiment each begins with, and a learner's way through them.

Nothing here draws. A screen, the command line and a grader all use a session::

    lesson = find_lesson("01-the-first-probe")
    session = LessonSession.open(lesson, default_store())     # at the start, or where the learner left it
    session.lab                        # the machine; step and seek in it as in any other
    session.pages("en")[session.page]  # what to read now: prose, and the places of tasks and predictions
    session.visible("en")              # the pages so far: up to the prediction or task to be dealt with now
    session.task                       # what to do now; None at the end
    session.do("$ cat /etc/motd")      # does something to the machine, so that it can be done again on resuming
    session.answer("0x1f")             # to the task's question
    report = session.check("en")       # each goal: met or not yet, and why; goes on to the next task if all are met
    session.hint("en")                 # one rung further each time
    session.predict("saved-ip", 2)     # before ...
    session.reveal("saved-ip", "en")   # ... the machine says which option is right
    session.explore()                  # leave; nothing counts
    session.come_back()                # exactly where it was
    session.reset()                    # the machine back to the start; everything=True: the progress too
    session.notice                     # a sentence if the progress could not be read or saved
    session.save()                     # where the machine stands, before closing

`LessonSession.open` boots a machine and may take a second or two; ``check``, ``reveal``, ``explore`` and ``come_back``
run it. All of them belong on the thread that runs the machine. Errors are `KprobesimError`: a sentence to show.
`Lesson` also has ``title``, ``text`` and ``open`` as demos have them, for those who only want to look.
"""

from kprobesim.course.actions import Action, parse_action, parse_actions
from kprobesim.course.lesson import PARTS, Lesson, Task, read_lesson
from kprobesim.course.library import find_demo, find_lesson, lessons_folder, list_demos, list_lessons
from kprobesim.course.pages import PANELS, Page, Part
from kprobesim.course.progress import Progress, ProgressStore, default_store
from kprobesim.course.questions import Option, Prediction
from kprobesim.course.reports import GoalReport, Reveal, TaskReport
from kprobesim.course.scenario import Scenario, read_scenario
from kprobesim.course.session import LessonSession
from kprobesim.course.trail import Cue, Step, Trail

__all__ = [
    "PANELS",
    "PARTS",
    "Action",
    "Cue",
    "GoalReport",
    "Lesson",
    "LessonSession",
    "Option",
    "Page",
    "Part",
    "Prediction",
    "Progress",
    "ProgressStore",
    "Reveal",
    "Scenario",
    "Step",
    "Task",
    "TaskReport",
    "Trail",
    "default_store",
    "find_demo",
    "find_lesson",
    "lessons_folder",
    "list_demos",
    "list_lessons",
    "parse_action",
    "parse_actions",
    "read_lesson",
    "read_scenario",
]
