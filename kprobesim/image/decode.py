"""Instructions of x86-64 code: where they begin, what they are, what they look like.

capstone decodes. Text is AT&T syntax as GNU objdump prints it, which is what kernel people read.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kprobesim.image.encoding import MASK, BranchKind, Encoding, split

__all__ = [
    "MAX_INSN_SIZE",
    "Boundaries",
    "DecodeError",
    "Instruction",
    "Symbolizer",
    "decode_one",
    "decode_range",
    "instruction_boundaries",
]

MAX_INSN_SIZE = 15
"""The architecture's longest instruction, in bytes (Linux arch/x86/include/asm/insn.h)."""

Symbolizer = Callable[[int], str]
"""Address to text such as ``vfs_read+0x10``; text that begins with ``0x`` counts as not found."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction.

    ``raw`` are its bytes; ``mnemonic`` includes prefixes that are words (``rep stos``); ``op_str`` is in AT&T syntax;
    ``encoding`` tells where its parts are.
    """

    address: int
    raw: bytes
    mnemonic: str
    op_str: str
    encoding: Encoding

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.raw)

    @property
    def end(self) -> int:
        """Address of the next instruction."""
        return self.address + len(self.raw)

    @property
    def text(self) -> str:
        """As objdump lines it up: ``push   %rbp``."""
        return f"{self.mnemonic:<6} {self.op_str}".rstrip()

    @property
    def displacement(self) -> int:
        """The displacement, sign-extended; 0 when there is none."""
        encoding = self.encoding
        start = encoding.displacement_offset
        field = self.raw[start : start + encoding.displacement_size]
        return int.from_bytes(field, "little", signed=True)

    @property
    def immediate(self) -> int:
        """The immediate field, sign-extended; 0 when there is none."""
        start = self.encoding.immediate_offset
        field = self.raw[start : start + self.encoding.immediate_size]
        return int.from_bytes(field, "little", signed=True)

    @property
    def is_rip_relative(self) -> bool:
        """True when its memory operand is at RIP + displacement."""
        return self.encoding.is_rip_relative

    @property
    def rip_target(self) -> int | None:
        """Address of the RIP-relative operand, as an unsigned 64-bit number."""
        return self.end + self.displacement & MASK if self.encoding.is_rip_relative else None

    @property
    def branch(self) -> BranchKind | None:
        """How it changes RIP, or nothing."""
        return self.encoding.branch

    @property
    def branch_target(self) -> int | None:
        """Where a relative branch goes when taken, as an unsigned 64-bit number; nothing for all others."""
        return self.end + self.immediate & MASK if self.encoding.is_relative_branch else None


@dataclass(frozen=True, slots=True)
class DecodeError:
    """Bytes at ``address`` that are no instruction; ``raw`` are up to 15 of them."""

    address: int
    raw: bytes

    @property
    def message(self) -> str:
        """One sentence."""
        if not self.raw:
            return f"There is no code at {self.address:#x}."
        return f"The bytes at {self.address:#x} are not an instruction: {self.raw.hex(' ')}."


@dataclass(frozen=True, slots=True)
class Boundaries:
    """The addresses where instructions begin, as a linear walk from the first byte finds them.

    ``starts`` ascend; ``end`` is where the walk stopped: one past the last instruction, or the bytes in ``error``.
    ``address in boundaries`` is true for each start and for ``end``: a walk that gets there has decoded everything
    before it, which is all that Linux arch/x86/kernel/kprobes/core.c:can_probe asks.
    """

    starts: tuple[int, ...]
    end: int
    error: DecodeError | None

    def __contains__(self, address: int) -> bool:
        if address == self.end:
            return True
        index = bisect_left(self.starts, address)
        return index < len(self.starts) and self.starts[index] == address


class _Engines(threading.local):
    """Each thread its own capstone handles: ctypes lets go of the GIL while one is in use."""

    def __init__(self) -> None:
        import capstone

        self.detailed: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self.detailed.syntax = capstone.CS_OPT_SYNTAX_ATT
        self.detailed.detail = True
        self.light: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)


_engines: _Engines | None = None


def _get_engines() -> _Engines:
    # Made at first use: importing capstone takes 80 ms.
    global _engines
    if _engines is None:
        _engines = _Engines()
    return _engines


def decode_one(code: bytes, address: int, symbolize: Symbolizer | None = None) -> Instruction | DecodeError:
    """Decode the instruction that begins at the first byte.

    Args:
        code: at least its bytes; more do no harm.
        address: where the first byte is, as an unsigned 64-bit number.
        symbolize: names branch targets and RIP-relative operands in the text.
    """
    for found in _get_engines().detailed.disasm(code[:MAX_INSN_SIZE], address, 1):
        return _instruction(found, symbolize)
    return DecodeError(address, code[:MAX_INSN_SIZE])


def decode_range(code: bytes, address: int, symbolize: Symbolizer | None = None) -> list[Instruction | DecodeError]:
    """Decode one instruction after another until the code ends.

    Returns:
        the instructions; where bytes are none, a last :class:`DecodeError` instead of the rest.
    """
    found: list[Instruction | DecodeError] = []
    at = 0
    for insn in _get_engines().detailed.disasm(code, address):
        found.append(_instruction(insn, symbolize))
        at += insn.size
    if at < len(code):
        found.append(DecodeError(address + at, code[at : at + MAX_INSN_SIZE]))
    return found


def instruction_boundaries(code: bytes, start: int) -> Boundaries:
    """Walk over code without looking at operands.

    Args:
        code: the bytes from a function's first on; bytes that probes have changed must have been put back.
        start: address of the first byte.
    """
    starts = []
    end = start
    for address, size, _, _ in _get_engines().light.disasm_lite(code, start):
        starts.append(address)
        end = address + size
    left = code[end - start :]
    return Boundaries(tuple(starts), end, DecodeError(end, left[:MAX_INSN_SIZE]) if left else None)


def _instruction(insn: Any, symbolize: Symbolizer | None) -> Instruction:
    from kprobesim.image.att import render

    raw = bytes(insn.bytes)
    encoding = split(raw, has_modrm=insn.encoding.modrm_offset != 0)
    mnemonic, operands = render(insn, encoding, symbolize)
    return Instruction(insn.address, raw, mnemonic, operands, encoding)
