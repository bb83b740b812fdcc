"""The guest's programs: their symbols, as places in their files."""

import io
from typing import Any

from elftools.elf.elffile import ELFFile

from kprobesim.image import Instruction, decode_range
from kprobesim.kprobes.uprobes import GuestFile, Uprobes

__all__ = ["Program"]


class Program:
    """A program in the guest's file tree.

    Args:
        uprobes: whose files.
        path: of the program.
    """

    def __init__(self, uprobes: Uprobes, path: str) -> None:
        self.file: GuestFile = uprobes.files.kern_path(path, 0)
        self.bytes = uprobes.files.read(self.file.inode, 0, self.file.size)
        elf: Any = ELFFile(io.BytesIO(self.bytes))
        text = next(segment for segment in elf.iter_segments() if segment["p_flags"] & 1)
        self.distance: int = text["p_vaddr"] - text["p_offset"]
        self._functions: dict[str, tuple[int, int]] = {
            symbol.name: (symbol["st_value"] - self.distance, symbol["st_size"])
            for symbol in elf.get_section_by_name(".symtab").iter_symbols()
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"]
        }

    def __getitem__(self, function: str) -> int:
        """Where a function begins in the file."""
        return self._functions[function][0]

    @property
    def functions(self) -> list[str]:
        return sorted(self._functions)

    def instructions(self, function: str) -> list[Instruction]:
        """A function's instructions, addressed by their offset in the file."""
        start, size = self._functions[function]
        found = decode_range(self.bytes[start : start + size], start)
        return [insn for insn in found if isinstance(insn, Instruction)]
