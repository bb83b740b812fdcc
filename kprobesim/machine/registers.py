"""Register sets that are read and written in one call.

A single register costs a round trip through the binding; a prepared batch of twenty costs hardly more than one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from unicorn import x86_const as x86
from unicorn.unicorn_py3.unicorn import uclib

__all__ = ["GENERAL", "SYSTEM", "RegisterSet", "Table"]

_IDS: Final = {
    "rax": x86.UC_X86_REG_RAX,
    "rbx": x86.UC_X86_REG_RBX,
    "rcx": x86.UC_X86_REG_RCX,
    "rdx": x86.UC_X86_REG_RDX,
    "rsi": x86.UC_X86_REG_RSI,
    "rdi": x86.UC_X86_REG_RDI,
    "rbp": x86.UC_X86_REG_RBP,
    "rsp": x86.UC_X86_REG_RSP,
    "r8": x86.UC_X86_REG_R8,
    "r9": x86.UC_X86_REG_R9,
    "r10": x86.UC_X86_REG_R10,
    "r11": x86.UC_X86_REG_R11,
    "r12": x86.UC_X86_REG_R12,
    "r13": x86.UC_X86_REG_R13,
    "r14": x86.UC_X86_REG_R14,
    "r15": x86.UC_X86_REG_R15,
    "rip": x86.UC_X86_REG_RIP,
    "rflags": x86.UC_X86_REG_RFLAGS,
    "cs": x86.UC_X86_REG_CS,
    "ss": x86.UC_X86_REG_SS,
    "cr0": x86.UC_X86_REG_CR0,
    "cr2": x86.UC_X86_REG_CR2,
    "cr3": x86.UC_X86_REG_CR3,
    "cr4": x86.UC_X86_REG_CR4,
    "fs_base": x86.UC_X86_REG_FS_BASE,
    "gs_base": x86.UC_X86_REG_GS_BASE,
}

# Model-specific registers and descriptor tables do not fit a 64-bit word: they get a structure of their own.
_MSRS: Final = {
    "efer": 0xC000_0080,
    "star": 0xC000_0081,
    "lstar": 0xC000_0082,
    "fmask": 0xC000_0084,
    "kernel_gs_base": 0xC000_0102,
}
_TABLES: Final = {"idtr": x86.UC_X86_REG_IDTR, "gdtr": x86.UC_X86_REG_GDTR, "tr": x86.UC_X86_REG_TR}

# Function objects of our own: the binding's carry argument types, and converting to those costs more than the call.
# So does letting other threads run during a call as short as this, which is what PyDLL leaves out.
_ENGINE: Final = ctypes.PyDLL(uclib._name, handle=uclib._handle)
_READ_BATCH: Final = _ENGINE["uc_reg_read_batch"]
_WRITE_BATCH: Final = _ENGINE["uc_reg_write_batch"]

GENERAL: Final = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "rip", "rflags",
)  # fmt: skip
SYSTEM: Final = ("cs", "ss", "cr0", "cr2", "cr3", "cr4", "fs_base", "gs_base")


class _Msr(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint32), ("value", ctypes.c_uint64))


class Table(ctypes.Structure):
    """A descriptor table register: ``base`` address, ``limit`` in bytes minus one."""

    base: int
    limit: int
    _fields_ = (
        ("selector", ctypes.c_uint16),
        ("base", ctypes.c_uint64),
        ("limit", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    )


class RegisterSet:
    """Some registers of one engine, in a fixed order, moved together.

    Plain registers come first in ``words``, a ctypes array that hot code indexes directly.

    Args:
        engine: the engine's handle.
        names: plain registers, then any MSRs (``star``...) and tables (``idtr``...), in that order.

    Attributes:
        read: fetches all of the set from the engine into ``words``.
        write: puts all of it into the engine.
    """

    def __init__(self, engine: ctypes.c_void_p, names: Sequence[str]) -> None:
        self.names = tuple(names)
        plain = [name for name in names if name in _IDS]
        assert self.names[: len(plain)] == tuple(plain), "plain registers come first"
        self.words = (ctypes.c_uint64 * max(len(plain), 1))()
        self._plain = tuple(plain)
        self._msrs = {name: _Msr(_MSRS[name], 0) for name in names if name in _MSRS}
        self._tables = {name: Table() for name in names if name in _TABLES}
        ids = [_IDS[name] for name in plain]
        places = [ctypes.addressof(self.words) + 8 * i for i in range(len(plain))]
        for msr in self._msrs.values():
            ids.append(x86.UC_X86_REG_MSR)
            places.append(ctypes.addressof(msr))
        for name, table in self._tables.items():
            ids.append(_TABLES[name])
            places.append(ctypes.addressof(table))
        self._count = len(ids)
        self._ids = (ctypes.c_int * len(ids))(*ids)
        self._places = (ctypes.c_void_p * len(ids))(*places)
        self._engine = engine
        self.read: Callable[[], object] = partial(_READ_BATCH, engine, self._ids, self._places, self._count)
        self.write = self.writer(self._count)

    def writer(self, count: int) -> Callable[[], object]:
        """What puts the first ``count`` registers into the engine; made once, called often."""
        return partial(_WRITE_BATCH, self._engine, self._ids, self._places, count)

    def msr(self, name: str) -> int:
        """Value of a model-specific register of the set, as last read."""
        return int(self._msrs[name].value)

    def table(self, name: str) -> Table:
        """Where a descriptor table of the set (or the TSS, for ``tr``) is found, after each `read`."""
        return self._tables[name]

    def as_dict(self) -> dict[str, int]:
        """The plain registers by name, as last read."""
        return dict(zip(self._plain, self.words, strict=False))

    def update(self, values: Mapping[str, int]) -> None:
        """Set plain registers by name in ``words``; `write` puts them into the engine."""
        for name, value in values.items():
            self.words[self._plain.index(name)] = value & 0xFFFF_FFFF_FFFF_FFFF
