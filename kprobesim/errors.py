"""Every exception that kprobesim raises on purpose.

KprobesimError
├── LinuxError          the guest's kernel would return this errno
├── GuestError          the emulated machine cannot go on
│   ├── TripleFault     an exception that could not be delivered, three deep
│   └── BusError        the guest touched a physical address where nothing is
├── EventLogFull        more has happened than the log can hold
├── ImageError          a file that is not a kernel image this machine can load
└── BadInput            a name, number or file from a person that makes no sense

Each message is one sentence saying what is wrong and where; ``hint``, where there is one, says what to try.
"""

from kprobesim.linux_errno import Errno

__all__ = [
    "BadInput",
    "BusError",
    "EventLogFull",
    "GuestError",
    "ImageError",
    "KprobesimError",
    "LinuxError",
    "TripleFault",
]


class KprobesimError(Exception):
    """The root: catch this one to catch all of them.

    Args:
        message: what is wrong and where, one sentence.
        hint: what to try, one sentence, or nothing.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class LinuxError(KprobesimError):
    """An errno that Linux would return, with Linux's own text first and the explanation after it.

    Args:
        errno: which one, for example ``Errno.EINVAL``.
        message: why, for people.
        hint: what to try.
    """

    def __init__(self, errno: Errno, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errno = errno

    def __str__(self) -> str:
        return f"{self.errno.text} (-{self.errno.name}): {super().__str__()}"


class GuestError(KprobesimError):
    """The emulated machine cannot go on; ``report`` is its last state, as text."""

    def __init__(self, message: str, *, report: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.report = report


class TripleFault(GuestError):
    """An exception arrived while a double fault could not be delivered: a real machine would reset."""


class BusError(GuestError):
    """The guest touched a physical address where neither RAM nor a device is."""


class EventLogFull(KprobesimError):
    """More has happened than the event log can hold; what it holds can still be looked at."""


class ImageError(KprobesimError):
    """A file is not a kernel image that this machine can load."""


class BadInput(KprobesimError):
    """Something a person typed, or a file they gave, makes no sense here."""
