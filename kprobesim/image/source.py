"""The text of a kernel's source files, from one folder and never from outside it."""

from functools import lru_cache
from pathlib import Path, PurePosixPath

from kprobesim.errors import BadInput

__all__ = ["SourceFolder"]

MAX_SOURCE_SIZE = 4 << 20


class SourceFolder:
    """Source files below a folder, by the names that the line table uses.

    Args:
        root: the folder; it may be missing, and then holds nothing.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).resolve()
        self._lines = lru_cache(maxsize=64)(self._load)

    def lines(self, file: str) -> tuple[str, ...] | None:
        """A file's lines without their ends; nothing when there is no such file.

        Args:
            file: relative to the folder, with forward slashes.

        Raises:
            BadInput: the name leads out of the folder, or the file is not a text of sensible size.
        """
        return self._lines(file)

    def line(self, file: str, number: int) -> str | None:
        """One line, counted from 1; nothing when there is none.

        Raises:
            BadInput: as for :meth:`lines`.
        """
        lines = self.lines(file)
        return lines[number - 1] if lines is not None and 1 <= number <= len(lines) else None

    def _load(self, file: str) -> tuple[str, ...] | None:
        name = PurePosixPath(file)
        # Windows takes a backslash and a drive letter as well; no kernel here has a file with either in its name.
        if name.is_absolute() or ".." in name.parts or "\\" in file or ":" in file or "\0" in file:
            raise BadInput(
                f"{file!r} is not a path inside the kernel's sources.", hint="Give one such as fs/read_write.c."
            )
        try:
            path = (self.root / name).resolve()
            if not path.is_relative_to(self.root):
                raise BadInput(f"{file!r} is a link that leads out of the kernel's sources.")
            if not path.is_file():
                return None
            if path.stat().st_size > MAX_SOURCE_SIZE:
                raise BadInput(f"{file!r} is too large to be a source file.")
            return tuple(path.read_text(encoding="utf-8", errors="replace").splitlines())
        except (OSError, RuntimeError) as error:
            raise BadInput(f"{file!r} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
