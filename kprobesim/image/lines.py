"""Source lines and machine addresses: the DWARF line table, as a debugger asks it.

DWARF 5, section 6.2 (and versions 2 to 4, which differ in how files are counted). pyelftools reads it.
"""

import io
import posixpath
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kprobesim.errors import ImageError
from kprobesim.image.elf import KernelImage

if TYPE_CHECKING:
    from elftools.dwarf.dwarfinfo import DWARFInfo

__all__ = ["LineRow", "LineTable", "SourceLine", "damaged", "open_dwarf"]

MAX_ROWS = 1 << 20
MIN_READS, READS_PER_BYTE = 20_000, 32
"""Sound debug information of a kernel takes about 1 read a byte of a section, most in ``.debug_abbrev``."""


@dataclass(frozen=True, slots=True, order=True)
class SourceLine:
    """A place in a source file; lines and columns count from 1, column 0 means the whole line.

    ``file`` is relative to the folder where the kernel was compiled, with forward slashes.
    """

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class LineRow:
    """Addresses from ``start`` up to ``end`` come from ``source``.

    ``statements`` are the lines that begin at ``start`` as far as a debugger is concerned (``is_stmt``). There can be
    several, since optimised code may have nothing left of one of them.
    """

    start: int
    end: int
    source: SourceLine
    statements: tuple[SourceLine, ...]

    @property
    def is_stmt(self) -> bool:
        """True when a debugger may stop at ``start``."""
        return bool(self.statements)


class LineTable:
    """The whole table of an image, read when first asked (about 25 us a row) and then kept.

    Every method raises ImageError when the debug information is damaged; an image without any has no rows.
    """

    def __init__(self, image: KernelImage) -> None:
        self._image = image

    @cached_property
    def rows(self) -> tuple[LineRow, ...]:
        """All rows by address, none empty."""
        dwarf = open_dwarf(self._image)
        if dwarf is None:
            return ()
        try:
            found = sorted(_read_rows(dwarf), key=lambda row: row.start)
        except Exception as error:
            raise damaged(self._image, error) from None
        return tuple(found)

    @cached_property
    def files(self) -> tuple[str, ...]:
        """All files that code comes from, sorted."""
        return tuple(sorted({row.source.file for row in self.rows}))

    def lookup(self, address: int) -> SourceLine | None:
        """The source of the instruction that holds an address."""
        row = self.row_at(address)
        return row.source if row and row.source.line else None

    def row_at(self, address: int) -> LineRow | None:
        """The row that holds an address."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self.rows[index].end:
            return self.rows[index]
        return None

    def addresses(self, file: str, line: int) -> tuple[int, ...]:
        """Where a debugger stops for a line: the ``is_stmt`` addresses at which it begins, ascending.

        Args:
            file: as in :attr:`files`, or the end of one: ``read_write.c`` finds ``fs/read_write.c``.
            line: from 1.
        """
        return tuple(sorted({start for name in self.match_file(file) for start in self._by_line.get((name, line), ())}))

    def match_file(self, file: str) -> tuple[str, ...]:
        """The files that a person may mean: that very name, or else all that end in it."""
        if file in self.files:
            return (file,)
        return tuple(name for name in self.files if name.endswith("/" + file))

    def rows_in(self, start: int, end: int) -> tuple[LineRow, ...]:
        """The rows of a function, by address.

        Args:
            start: its first address.
            end: one past its last.
        """
        first = max(bisect_right(self._starts, start) - 1, 0)
        found = []
        for row in self.rows[first:]:
            if row.start >= end:
                break
            if row.end > start:
                found.append(row)
        return tuple(found)

    def line_range(self, start: int, end: int) -> tuple[str, int, int] | None:
        """File, first and last line of a function, leaving out lines inlined from other files.

        Args:
            start: its first address.
            end: one past its last.
        """
        rows = [row for row in self.rows_in(start, end) if row.source.line]
        if not rows:
            return None
        file = rows[0].source.file
        lines = [row.source.line for row in rows if row.source.file == file]
        return file, min(lines), max(lines)

    @cached_property
    def _starts(self) -> list[int]:
        return [row.start for row in self.rows]

    @cached_property
    def _by_line(self) -> dict[tuple[str, int], list[int]]:
        found: dict[tuple[str, int], list[int]] = {}
        before: LineRow | None = None
        for row in self.rows:
            for source in row.statements:
                # A second row of the same line right behind is the same statement going on.
                if not (before and before.end == row.start and _same_line(before.source, source)):
                    found.setdefault((source.file, source.line), []).append(row.start)
            before = row
        return found


def _same_line(first: SourceLine, second: SourceLine) -> bool:
    return first.line == second.line and first.file == second.file


def open_dwarf(image: KernelImage) -> "DWARFInfo | None":
    """The image's debug information for pyelftools; nothing when it has none.

    Raises:
        ImageError: it cannot be opened.
    """
    if ".debug_info" not in image.sections:
        return None
    from elftools.elf.elffile import ELFFile

    try:
        for section in image.sections_by_index:
            if section and section.name.startswith(".debug_"):
                # Unpacking our way checks the size that a packed section promises before memory is taken for it.
                _ = section.data
        dwarf = ELFFile(io.BytesIO(image.contents)).get_dwarf_info(relocate_dwarf_sections=False)
        for name, value in list(vars(dwarf).items()):
            if name.endswith("_sec") and value is not None:
                setattr(dwarf, name, value._replace(stream=_PatientStream(value.stream.getvalue())))
    except ImageError:
        raise
    except Exception as error:
        raise damaged(image, error) from None
    return dwarf


def damaged(image: KernelImage, error: Exception) -> ImageError:
    """What to raise when pyelftools stumbles, which it does in many ways: it trusts what it reads."""
    if isinstance(error, ImageError):
        return error
    return ImageError(f"{image.name}: the debug information is damaged ({type(error).__name__}: {error}).")


class _PatientStream(io.BytesIO):
    """A section that may be read only so often: damaged references make pyelftools go round in circles."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.left = MIN_READS + READS_PER_BYTE * len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ValueError("it refers to itself without end")
        return super().read(size)


def _read_rows(dwarf: "DWARFInfo") -> Iterator[LineRow]:
    seen: set[int] = set()
    count = 0
    for unit in dwarf.iter_CUs():
        top = unit.get_top_DIE()
        offset = top.attributes.get("DW_AT_stmt_list")
        if offset is None or offset.value in seen:
            continue
        seen.add(offset.value)
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        folder = top.attributes.get("DW_AT_comp_dir")
        names = _file_names(program.header, folder.value.decode("utf-8", "replace") if folder else "")
        sources: dict[tuple[int, int, int], SourceLine] = {}
        here: list[tuple[SourceLine, bool]] = []
        start = 0
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            count += 1
            if count > MAX_ROWS:
                raise ImageError(f"The debug line table has more than {MAX_ROWS} rows.")
            if here and state.address != start:
                if state.address > start:
                    yield _row(start, state.address, here)
                here = []
            if state.end_sequence:
                here = []
                continue
            start, key = state.address, (state.file, state.line, state.column)
            if key not in sources:
                sources[key] = SourceLine(names.get(state.file, "?"), state.line, state.column)
            here.append((sources[key], bool(state.is_stmt)))


def _row(start: int, end: int, here: list[tuple[SourceLine, bool]]) -> LineRow:
    """One row of the several that may describe an address: as in gdb the last one, but a statement before others."""
    statements = [source for source, is_stmt in here if is_stmt and source.line]
    return LineRow(start, end, statements[-1] if statements else here[-1][0], tuple(dict.fromkeys(statements)))


def _file_names(header: Any, compile_folder: str) -> dict[int, str]:
    """File numbers of a line program to paths relative to the folder of compilation."""
    folders = [_text(folder) for folder in header["include_directory"]]
    found = {}
    # Version 5 counts files and folders from 0, folder 0 being the folder of compilation; before, from 1.
    modern = header["version"] >= 5
    for number, entry in enumerate(header["file_entry"], 0 if modern else 1):
        index = (entry.get("dir_index") or 0) - (0 if modern else 1)
        folder = folders[index] if 0 <= index < len(folders) else ""
        path = posixpath.normpath(posixpath.join(compile_folder, folder, _text(entry["name"])))
        root = posixpath.normpath(compile_folder or ".") + "/"
        found[number] = path.removeprefix(root)
    return found


def _text(value: Any) -> str:
    raw = getattr(value, "DW_LNCT_path", value) if not isinstance(value, bytes | str) else value
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
