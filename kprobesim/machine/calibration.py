"""Facts that Unicorn's API does not tell, found inside the engine at start-up.

How many instructions a counted run retired, the error code of an exception, the exception that came before it, the
privilege level and the way to the arithmetic flags are fields of the engine. Their places differ from build to build,
so they are looked for with known values and checked with others. Where the counter cannot be found `Engine` counts with
a hook on every instruction: slow, but as correct.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import struct
from typing import Final, NamedTuple

from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_64, UC_PROT_ALL, Uc
from unicorn import x86_const as x86

from kprobesim.errors import KprobesimError

__all__ = ["SEGMENT_ATTRIBUTES", "Calibration", "LazyFlags", "Privilege", "calibrate"]

SEGMENT_ATTRIBUTES: Final = 20  # bytes from a segment's selector to the upper half of its descriptor

_SEARCHED_BYTES: Final = 8192
_CODE: Final = 0x1000
_TABLES: Final = 0x10000
_RAM: Final = 0x200000
_PAGE_FAULT: Final = 14
_CS0, _SS0, _CS3, _SS3 = 0x10, 0x18, 0x33, 0x2B
_NONE: Final = 0xFFFF_FFFF


class Privilege(NamedTuple):
    """Where a saved context keeps the privilege level: byte offsets, and what is there in ring 0.

    Attributes:
        flags: of the engine's own flags; the lowest two bits are the level.
        cs, ss: of the selectors; the descriptor's upper half is `SEGMENT_ATTRIBUTES` further.
        ring0_flags, ring0_cs, ring0_ss: flags and descriptor halves of 64-bit code in ring 0.
    """

    flags: int
    cs: int
    ss: int
    ring0_flags: int
    ring0_cs: int
    ring0_ss: int


class LazyFlags(NamedTuple):
    """Where a saved context keeps the arithmetic flags, which the engine only computes when somebody asks.

    Before each counted instruction it does compute them, but an exception of the very next one brings back the way in
    which they were to be computed, and that way now starts from the result.

    Attributes:
        rflags: of RFLAGS, with the arithmetic flags as of the last time they were computed.
        source: of what they are computed from; the arithmetic flags themselves once they were computed.
        way: of how they are computed.
        computed: the value of ``way`` that says "they are in ``source``".
    """

    rflags: int
    source: int
    way: int
    computed: int


class Calibration(NamedTuple):
    """Byte offsets inside the engine.

    Attributes:
        counter: of the retired-instruction counter, from the start of the engine's structure; None if not found.
        error_code: of the last exception's error code, from the start of a saved context.
        old_exception: of the contributory exception before, from the start of a saved context; -1 for none. The engine
            makes a double fault of a second page fault unless whoever delivers the first one resets it.
        privilege: the privilege level, from the start of a saved context.
        flags: the arithmetic flags, from the start of a saved context.
    """

    counter: int | None
    error_code: int
    old_exception: int
    privilege: Privilege
    flags: LazyFlags


@functools.cache
def calibrate() -> Calibration:
    """Find the fields by experiment; once per process, in a few milliseconds.

    Raises:
        KprobesimError: this build of Unicorn keeps its exceptions somewhere else.
    """
    error_code, old_exception = _find_exception_fields()
    return Calibration(_find_counter(), error_code, old_exception, _find_privilege(), _find_flags())


def _laboratory() -> tuple[Uc, mmap.mmap]:
    ram = mmap.mmap(-1, _RAM)
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
    uc.mem_map_ptr(0, _RAM, UC_PROT_ALL, ctypes.addressof((ctypes.c_char * _RAM).from_buffer(ram)))
    return uc, ram


def _enter_long_mode(uc: Uc) -> None:
    """Switch paging on, with the tables at `_TABLES`."""
    uc.reg_write(x86.UC_X86_REG_MSR, (0xC000_0080, 0xD01))  # EFER: long mode, no-execute
    uc.reg_write(x86.UC_X86_REG_CR4, 0x20)
    uc.reg_write(x86.UC_X86_REG_CR3, _TABLES)
    uc.reg_write(x86.UC_X86_REG_CR0, 0x8001_0011)


def _find_counter() -> int | None:
    uc, ram = _laboratory()
    ram[_CODE : _CODE + 5] = b"\x48\xff\xc0\xeb\xfb"  # inc %rax; jmp back to it
    words = (ctypes.c_uint64 * (_SEARCHED_BYTES // 8)).from_address(uc._uch.value)
    found: set[int] | None = None
    for count in (12_347, 98_765):
        uc.emu_start(_CODE, 0, count=count)
        # The engine counts the instruction that it then refuses to run, so the counter is one past the limit.
        places = {i * 8 for i in range(1, len(words)) if words[i] == count and words[i - 1] == count + 1}
        found = places if found is None else found & places
    return found.pop() - 8 if found and len(found) == 1 else None


def _find_exception_fields() -> tuple[int, int]:
    uc, ram = _laboratory()
    entries = {
        _TABLES: _TABLES + 0x1003,
        _TABLES + 0x1000: _TABLES + 0x2003,
        _TABLES + 0x2000: _TABLES + 0x3003,
        _TABLES + 0x3008: 0x1003,  # the code
        _TABLES + 0x3010: 0x2001,  # a read-only page
        _TABLES + 0x3018: 0x8000_0000_0000_3003,  # a page without code
    }
    for place, entry in entries.items():
        ram[place : place + 8] = entry.to_bytes(8, "little")
    ram[_CODE : _CODE + 3] = b"\x48\x8b\x01"  # mov (%rcx),%rax
    ram[_CODE + 16 : _CODE + 19] = b"\x48\x89\x01"  # mov %rax,(%rcx)
    ram[_CODE + 32 : _CODE + 34] = b"\xff\xe1"  # jmp *%rcx
    _enter_long_mode(uc)
    uc.hook_add(UC_HOOK_INTR, lambda engine, vector, _: engine.emu_stop())
    pristine, after = uc.context_save(), uc.context_save()
    error_places: set[int] | None = None
    old_places: set[int] | None = None
    before = bytes(pristine)
    for code, address, expected in (
        (_CODE, 0x4000, 0),  # read an absent page
        (_CODE + 16, 0x4000, 2),  # write to an absent page
        (_CODE + 16, 0x2000, 3),  # write to a read-only page
        (_CODE + 32, 0x3000, 0x11),  # run a page without code
    ):
        uc.context_restore(pristine)
        uc.reg_write(x86.UC_X86_REG_RCX, address)
        uc.emu_start(code, 0, count=4)
        uc.context_update(after)
        blob = bytes(after)
        errors = {i for i in range(0, len(blob) - 3, 4) if _u32(blob, i) == expected}
        olds = {i for i in range(0, len(blob) - 3, 4) if _u32(before, i) == _NONE and _u32(blob, i) == _PAGE_FAULT}
        error_places = errors if error_places is None else error_places & errors
        old_places = olds if old_places is None else old_places & olds
    if error_places is None or len(error_places) != 1 or old_places is None or len(old_places) != 1:
        raise _unknown_engine("its last exception")
    return error_places.pop(), old_places.pop()


def _find_privilege() -> Privilege:
    """Enter ring 3 once and see what changes."""
    uc, ram = _laboratory()
    for level in range(3):
        place = _TABLES + 0x1000 * level
        ram[place : place + 8] = (place + 0x1007).to_bytes(8, "little")
    ram[_TABLES + 0x3008 : _TABLES + 0x3010] = (_CODE | 7).to_bytes(8, "little")
    ram[_CODE : _CODE + 7] = b"\x48\xcb\x8e\xd0\x90\x48\xcf"  # lretq; mov %eax,%ss; nop; iretq
    descriptors = (0, 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF)
    table, stack = _CODE + 0x100, _CODE + 0x200
    ram[table : table + 56] = struct.pack("<7Q", *descriptors)
    ram[stack : stack + 56] = struct.pack("<7Q", _CODE + 2, _CS0, _CODE, _CS3, 2, stack, _SS3)
    uc.reg_write(x86.UC_X86_REG_GDTR, (0, table, 55, 0))
    _enter_long_mode(uc)
    uc.reg_write(x86.UC_X86_REG_RSP, stack)
    uc.reg_write(x86.UC_X86_REG_RAX, _SS0)
    uc.emu_start(_CODE, 0, count=3)
    ring0 = bytes(uc.context_save())
    uc.emu_start(_CODE + 5, 0, count=1)
    ring3 = bytes(uc.context_save())
    words = [(place, _u32(ring0, place), _u32(ring3, place)) for place in range(0, len(ring0) - 3, 4)]
    flags = [place for place, old, new in words if old ^ new == 3 and not old & 3]
    cs = [place for place, old, new in words if (old, new) == (_CS0, _CS3)]
    ss = [place for place, old, new in words if (old, new) == (_SS0, _SS3)]
    if not len(flags) == len(cs) == len(ss) == 1:
        raise _unknown_engine("its privilege level")
    return Privilege(
        flags[0],
        cs[0],
        ss[0],
        _u32(ring0, flags[0]),
        _u32(ring0, cs[0] + SEGMENT_ATTRIBUTES),
        _u32(ring0, ss[0] + SEGMENT_ATTRIBUTES),
    )


def _find_flags() -> LazyFlags:
    """Let a load fault behind a comparison: uncounted, counted, and counted with an instruction between."""
    uc, ram = _laboratory()
    for level in range(3):
        place = _TABLES + 0x1000 * level
        ram[place : place + 8] = (place + 0x1003).to_bytes(8, "little")
    ram[_TABLES + 0x3008 : _TABLES + 0x3010] = (_CODE | 3).to_bytes(8, "little")
    for place in (_CODE, _CODE + 32):
        ram[place : place + 6] = b"\x48\x39\xd8\x48\x8b\x11"  # cmp %rbx,%rax; mov (%rcx),%rdx
    ram[_CODE + 16 : _CODE + 23] = b"\x48\x39\xd8\x90\x48\x8b\x11"  # the same with a nop between
    _enter_long_mode(uc)
    uc.ctl_exits_enabled(True)
    blobs: list[bytes] = []

    def look(engine: Uc, vector: int, _: object) -> None:
        # In the midst of things: when a run ends the engine computes the flags in any case.
        blobs.append(bytes(engine.context_save()))
        engine.emu_stop()

    uc.hook_add(UC_HOOK_INTR, look)
    compared, equal, equal_arithmetic = 0x1234_5678_9ABC, 0x46, 0x44
    uc.reg_write(x86.UC_X86_REG_RAX, compared)
    uc.reg_write(x86.UC_X86_REG_RBX, compared)
    uc.reg_write(x86.UC_X86_REG_RCX, 0x4000)
    pristine = uc.context_save()
    # Uncounted first, and in a place of its own: once an engine has counted it translates all code for counting.
    for code, count in ((_CODE + 32, 0), (_CODE, 8), (_CODE + 16, 8)):
        uc.context_restore(pristine)
        uc.reg_write(x86.UC_X86_REG_RFLAGS, 2)
        uc.emu_start(code, 0, count=count)
    sound = blobs[-1]
    wide = [(place, *(_u64(blob, place) for blob in blobs)) for place in range(0, len(sound) - 7, 8)]
    narrow = [(place, *(_u32(blob, place) for blob in blobs)) for place in range(0, len(sound) - 3, 4)]
    rflags = [place for place, *seen in wide if seen == [2, equal, equal]]
    source = [place for place, *seen in wide if seen == [compared, equal_arithmetic, equal_arithmetic]]
    way = [place for place, *seen in narrow if seen[0] == seen[1] != seen[2] and max(seen) < 256]
    if not len(rflags) == len(source) == len(way) == 1:
        raise _unknown_engine("its flags")
    return LazyFlags(rflags[0], source[0], way[0], _u32(sound, way[0]))


def _unknown_engine(what: str) -> KprobesimError:
    return KprobesimError(
        f"This build of Unicorn keeps {what} where kprobesim cannot find it.", hint="Install unicorn 2.1.4 from PyPI."
    )


def _u32(blob: bytes, offset: int) -> int:
    return int.from_bytes(blob[offset : offset + 4], "little")


def _u64(blob: bytes, offset: int) -> int:
    return int.from_bytes(blob[offset : offset + 8], "little")
