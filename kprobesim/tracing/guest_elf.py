"""Functions in the guest's programs, by name: what libbpf's elf_find_func_offset looks up."""

from __future__ import annotations

import io
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno

__all__ = ["function_offset"]


def function_offset(contents: bytes, name: str) -> int | None:
    """Where a function begins in its file.

    Args:
        contents: of the file; nothing in it is trusted.
        name: of the function.

    Returns:
        Bytes from the beginning of the file; None if it has no such function.

    Raises:
        LinuxError: EINVAL, this is no ELF file.
    """
    try:
        elf: Any = ELFFile(io.BytesIO(contents))
        for table in elf.iter_sections():
            if table["sh_type"] not in ("SHT_SYMTAB", "SHT_DYNSYM"):
                continue
            for symbol in table.get_symbol_by_name(name) or ():
                if symbol["st_info"]["type"] == "STT_FUNC" and isinstance(symbol["st_shndx"], int):
                    section = elf.get_section(symbol["st_shndx"])
                    return int(symbol["st_value"] - section["sh_addr"] + section["sh_offset"])
    # The reader trips over damaged files in many ways.
    except (ELFError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        raise LinuxError(Errno.EINVAL, "This is no ELF file, or a damaged one.") from error
    return None
