"""A list of errors to plant in the verifier, one at a time.

An error is a function that is given ``put``, which replaces a module's or a class's attribute.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["Errors", "Plant", "Put", "nothing"]

Put = Callable[[Any, str, Any], None]
Plant = Callable[[Put], None]


class Errors(dict[str, Plant]):
    """Errors by name; as a decorator it adds one."""

    def __call__(self, plant: Plant) -> Plant:
        self[plant.__name__] = plant
        return plant


def nothing(*args: Any, **kwargs: Any) -> None:
    """What a check does that was left out."""
