"""What a goal may look at, and what it finds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from kprobesim.course.questions import Computed
from kprobesim.course.strict import Strict

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["Finding", "GoalKind", "View", "last_line"]

_SHOWN: Final = 120


@dataclass(frozen=True)
class View:
    """What goals may look at.

    Attributes:
        lab: the machine at the learner's moment.
        starts: first event since the lesson's ``start``, and since the ``task`` began.
        answer: what the learner answered to the task's question; None if nothing yet.
        compute: what the machine works out, as text.
        read_file: the text of a file of the machine; None if there is none.
    """

    lab: Lab
    starts: Mapping[str, int]
    answer: str | None
    compute: Callable[[Computed], str]
    read_file: Callable[[str], str | None]


@dataclass(frozen=True)
class Finding:
    """Whether a goal is met, and what there is to say.

    Attributes:
        met: it is.
        values: what the sentences of its kind are filled in with.
        key: which sentence tells why it is not.
    """

    met: bool
    values: Mapping[str, object] = field(default_factory=dict)
    key: str = "why"


class GoalKind(ABC):
    """One kind of goal."""

    name: ClassVar[str]
    keys: ClassVar[Mapping[str, str]]
    quick: ClassVar[bool] = True
    """It only looks; False where the machine has to run, on a life aside."""

    @classmethod
    @abstractmethod
    def read(cls, table: Strict) -> GoalKind:
        """From the lesson's file."""

    def asked(self) -> Mapping[str, object]:
        """What the sentence on what is asked for is filled in with, if nothing of it can be seen."""
        return {}

    @abstractmethod
    def check(self, view: View) -> Finding:
        """Look."""


def last_line(lines: Sequence[str]) -> str:
    """The newest of some lines, as much of it as a sentence has room for."""
    return lines[-1][:_SHOWN] if lines else ""
