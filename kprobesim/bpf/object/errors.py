"""What goes wrong with an object file.

KprobesimError
└── BadInput
    └── ObjectError    a `.o` file that cannot be loaded
"""

from kprobesim.errors import BadInput

__all__ = ["ObjectError"]


class ObjectError(BadInput):
    """A `.o` file that cannot be loaded; the message says which part of it is wrong."""
