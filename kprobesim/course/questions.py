"""Predictions to make before a reveal, and what the machine works out for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kprobesim.course.actions import Action, parse_actions
from kprobesim.course.readings import check_reading
from kprobesim.course.strict import Strict
from kprobesim.i18n import LANGUAGES

__all__ = ["Computed", "Option", "Prediction", "read_computed", "read_options", "read_prediction"]

_MOST_OPTIONS: Final = 8


@dataclass(frozen=True)
class Computed:
    """A value that the machine works out, on a life of its own that is forgotten afterwards.

    Attributes:
        after: done first, from the lesson's start or from the learner's moment.
        begin: ``start`` or ``here``.
        read: what is read then, see `kprobesim.course.readings`.
    """

    after: tuple[Action, ...]
    begin: str
    read: str


@dataclass(frozen=True)
class Option:
    """One of several answers.

    Attributes:
        text: by language.
        value: what the machine must work out for this one to be right; empty if nothing is worked out.
    """

    text: Mapping[str, str]
    value: str

    def as_written(self, value: str) -> str:
        """What the machine worked out, in hexadecimal if the option's text has it so."""
        digits = f"{int(value):#x}" if value.isdecimal() else value
        return digits if any(digits in text for text in self.text.values()) else value


@dataclass(frozen=True)
class Prediction:
    """A question to settle one's mind on before the machine shows what happens.

    Attributes:
        id: its name.
        question: by language.
        options: two to eight.
        right: number of the right one, counted from 1; 0 if the machine says which.
        machine: what works it out; None if ``right`` says.
        explain: told at the reveal, by language.
    """

    id: str
    question: Mapping[str, str]
    options: tuple[Option, ...]
    right: int
    machine: Computed | None
    explain: Mapping[str, str]


def read_options(table: Strict) -> tuple[Option, ...]:
    """The ``[[...option]]`` of a question; a text that is the same in all languages may be written once.

    Raises:
        BadInput: they make no sense.
    """
    options = []
    for one in table.tables("option", most=_MOST_OPTIONS):
        given = one.any("text")
        same: Mapping[str, str] = {language: str(given) for language in LANGUAGES}
        text = same if isinstance(given, str) else one.by_language("text")
        if any(len(words) > 500 for words in text.values()):
            one.refuse("text is longer than 500 characters.", "text")
        value = one.any("value")
        if value is not None and type(value) not in (int, str):
            one.refuse("value must be a number or a text.", "value")
        one.done()
        options.append(Option(text, "" if value is None else str(value)))
    if len(options) == 1:
        table.refuse("a choice has at least two options.", "option")
    return tuple(options)


def read_computed(table: Strict) -> Computed | None:
    """The ``machine`` of a question, if it has one.

    Raises:
        BadInput: it makes no sense.
    """
    if "machine" not in table:
        table.any("machine")
        return None
    inner = table.table("machine")
    after = inner.parsed("after", "", parse_actions)
    if any(action.verb in ("answer", "predict") for action in after):
        inner.refuse("after does something to the machine; answers and predictions are the learner's.", "after")
    computed = Computed(
        after, inner.choice("begin", ("start", "here"), "start"), inner.parsed("read", "", check_reading)
    )
    inner.done()
    return computed


def read_prediction(table: Strict) -> Prediction:
    """One ``[[prediction]]``.

    Raises:
        BadInput: it makes no sense.
    """
    options = read_options(table)
    machine = read_computed(table)
    prediction = Prediction(
        table.name("id"),
        table.by_language("question"),
        options,
        table.number("right", 0, most=len(options)),
        machine,
        table.by_language("explain"),
    )
    if not options:
        table.refuse("a prediction has options.", "option")
    if (prediction.right == 0) == (machine is None):
        table.refuse("a prediction needs either right or machine.")
    if machine is not None and not all(option.value for option in options):
        table.refuse("with machine every option needs the value for which it is right.", "option")
    table.done()
    return prediction
