"""Bytes of a capture file, read in pieces; what is missing or too large is an error and takes no memory."""

from typing import IO

from kprobesim.errors import BadInput

__all__ = ["Source"]


class Source:
    """A file and how far it was read.

    Args:
        file: opened for bytes; it need not be seekable.
        start: bytes already read from it.
    """

    def __init__(self, file: IO[bytes], start: bytes = b"") -> None:
        self._file = file
        self._start = start
        self.offset = 0

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, or fewer at the end; they stay."""
        while len(self._start) < size:
            more = self._file.read(size - len(self._start))
            if not more:
                break
            self._start += more
        return self._start[:size]

    def read(self, size: int, what: str) -> bytes:
        """Exactly ``size`` bytes; BadInput, naming ``what``, if the file ends before."""
        found = self.peek(size)
        if len(found) < size:
            raise BadInput(
                f"The capture is cut off at byte {self.offset + len(found):,}: {what} should have {size:,} bytes, "
                f"{len(found):,} are there."
            )
        self._start = self._start[size:]
        self.offset += size
        return found

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return not self.peek(1)
