"""Where the parts of one x86-64 instruction are: prefixes, opcode, ModRM, displacement, immediate.

The kprobe code decides by these, as Linux does by ``struct insn`` (Linux arch/x86/lib/insn.c; the format is in the
Intel SDM volume 2, chapter 2). capstone supplies the length and whether there is a ModRM byte; the bytes are taken
apart here because capstone 5 reports the first byte of the escape as the opcode of 0F 38 and 0F 3A instructions, and
a displacement of 2 bytes where an operand-size prefix stands before one of 4.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum

__all__ = ["BranchKind", "Encoding", "OpcodeMap", "split"]

LEGACY_PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")
WITH_MOFFS = range(0xA0, 0xA4)
REGISTERS_ONLY = range(0x20, 0x24)
"""0F 20 to 0F 23, moves to and from control and debug registers: the processor takes mod as 3 whatever it says."""
MASK = (1 << 64) - 1


class OpcodeMap(IntEnum):
    """Which table an opcode byte is an index of; the value counts the opcode's bytes, escapes included."""

    ONE_BYTE = 1
    TWO_BYTE = 2
    """0F xx"""
    MAP_0F38 = 3
    MAP_0F3A = 4
    OTHER = 5
    """AVX-512 and XOP tables that no kernel here uses."""

    @property
    def length(self) -> int:
        """Opcode bytes, escapes included, in an instruction without VEX."""
        return min(int(self), 3)


class BranchKind(Enum):
    """How an instruction changes RIP otherwise than by going on to the next."""

    CALL = "call"
    JUMP = "jmp"
    CONDITIONAL = "jcc"
    LOOP = "loop"
    """LOOP, LOOPE, LOOPNE and JRCXZ"""
    RETURN = "ret"
    FAR_RETURN = "lret"
    INTERRUPT_RETURN = "iret"
    CALL_INDIRECT = "call *"
    JUMP_INDIRECT = "jmp *"
    FAR_CALL_INDIRECT = "lcall *"
    FAR_JUMP_INDIRECT = "ljmp *"
    SYSTEM_CALL = "syscall"
    SYSTEM_RETURN = "sysret"


@dataclass(frozen=True, slots=True)
class Encoding:
    """The parts of one instruction; offsets and sizes are in bytes from its first byte, a size of 0 means absent.

    ``prefixes`` are the legacy ones in the order in which they stand, ``rex`` is 0 without one, ``opcode`` is the
    last opcode byte (its index in ``map``). ``immediate`` takes in everything after the displacement: a relative
    branch's distance, and both operands of ENTER.
    """

    size: int
    prefixes: bytes
    rex: int
    is_vex: bool
    map: OpcodeMap
    opcode: int
    opcode_offset: int
    modrm: int | None
    sib: int | None
    displacement_offset: int
    displacement_size: int
    immediate_offset: int
    immediate_size: int

    @property
    def mod(self) -> int | None:
        """ModRM bits 7 and 6: 3 when the operand is a register, not memory."""
        return None if self.modrm is None else self.modrm >> 6

    @property
    def reg(self) -> int | None:
        """ModRM bits 5 to 3, without REX.R: the ``/n`` of an opcode group."""
        return None if self.modrm is None else self.modrm >> 3 & 7

    @property
    def rm(self) -> int | None:
        """ModRM bits 2 to 0, without REX.B."""
        return None if self.modrm is None else self.modrm & 7

    @property
    def rm_register(self) -> int | None:
        """Number of the register operand, 0 (rax) to 15 (r15), when mod is 3."""
        return None if self.modrm is None or self.modrm < 0xC0 else self.modrm & 7 | (self.rex & 1) << 3

    @property
    def is_rip_relative(self) -> bool:
        """True for an operand at RIP + displacement (mod 0, rm 5)."""
        return self.modrm is not None and self.modrm & 0xC7 == 5 and self.displacement_size == 4

    @property
    def has_operand_size_prefix(self) -> bool:
        """66"""
        return 0x66 in self.prefixes

    @property
    def has_address_size_prefix(self) -> bool:
        """67"""
        return 0x67 in self.prefixes

    @property
    def branch(self) -> BranchKind | None:
        """How it changes RIP, or nothing for one that goes on to the next instruction."""
        if self.is_vex:
            return None
        if self.map is OpcodeMap.TWO_BYTE:
            if 0x80 <= self.opcode <= 0x8F:
                return BranchKind.CONDITIONAL
            return TWO_BYTE_BRANCHES.get(self.opcode)
        if self.map is not OpcodeMap.ONE_BYTE:
            return None
        if self.opcode == 0xFF:
            return GROUP_5.get(self.reg)
        if 0x70 <= self.opcode <= 0x7F:
            return BranchKind.CONDITIONAL
        return ONE_BYTE_BRANCHES.get(self.opcode)

    @property
    def is_relative_branch(self) -> bool:
        """True when the immediate is a distance from the next instruction."""
        return self.branch in RELATIVE


ONE_BYTE_BRANCHES = {
    0xC2: BranchKind.RETURN,
    0xC3: BranchKind.RETURN,
    0xCA: BranchKind.FAR_RETURN,
    0xCB: BranchKind.FAR_RETURN,
    0xCF: BranchKind.INTERRUPT_RETURN,
    0xE0: BranchKind.LOOP,
    0xE1: BranchKind.LOOP,
    0xE2: BranchKind.LOOP,
    0xE3: BranchKind.LOOP,
    0xE8: BranchKind.CALL,
    0xE9: BranchKind.JUMP,
    0xEB: BranchKind.JUMP,
}
TWO_BYTE_BRANCHES = {
    0x05: BranchKind.SYSTEM_CALL,
    0x07: BranchKind.SYSTEM_RETURN,
    0x34: BranchKind.SYSTEM_CALL,
    0x35: BranchKind.SYSTEM_RETURN,
}
GROUP_5: dict[int | None, BranchKind] = {
    2: BranchKind.CALL_INDIRECT,
    3: BranchKind.FAR_CALL_INDIRECT,
    4: BranchKind.JUMP_INDIRECT,
    5: BranchKind.FAR_JUMP_INDIRECT,
}
RELATIVE = frozenset({BranchKind.CALL, BranchKind.JUMP, BranchKind.CONDITIONAL, BranchKind.LOOP})


def split(code: bytes, *, has_modrm: bool) -> Encoding:
    """Take the bytes of one valid instruction apart.

    Args:
        code: exactly its bytes.
        has_modrm: whether a ModRM byte follows the opcode.
    """
    at, rex, is_vex = 0, 0, False
    prefixes = bytearray()
    while True:
        if code[at] in LEGACY_PREFIXES:
            # A REX byte counts only right before the opcode.
            prefixes.append(code[at])
            rex = 0
        elif code[at] & 0xF0 == 0x40:
            rex = code[at]
        else:
            break
        at += 1
    if code[at] in (0xC4, 0xC5, 0x62) or (code[at] == 0x8F and code[at + 1] & 0x1F >= 8):
        opcode_map, rex, at = _vex(code, at)
        is_vex = True
        opcode_offset = at
    elif code[at] == 0x0F:
        opcode_offset = at
        escape = {0x38: OpcodeMap.MAP_0F38, 0x3A: OpcodeMap.MAP_0F3A}
        opcode_map = escape.get(code[at + 1], OpcodeMap.TWO_BYTE)
        at += opcode_map.length - 1
    else:
        opcode_map, opcode_offset = OpcodeMap.ONE_BYTE, at
    opcode = code[at]
    at += 1
    modrm = sib = None
    displacement = 0
    if has_modrm:
        modrm, at = code[at], at + 1
        mod, base = modrm >> 6, modrm & 7
        if opcode_map is OpcodeMap.TWO_BYTE and opcode in REGISTERS_ONLY:
            mod = 3
        if mod != 3 and base == 4:
            sib, at = code[at], at + 1
            base = sib & 7
        if mod == 1:
            displacement = 1
        elif mod == 2 or (mod == 0 and base == 5):
            displacement = 4
    elif opcode_map is OpcodeMap.ONE_BYTE and opcode in WITH_MOFFS:
        displacement = 4 if 0x67 in prefixes else 8
    after = at + displacement
    immediate = len(code) - after
    return Encoding(
        size=len(code),
        prefixes=bytes(prefixes),
        rex=rex,
        is_vex=is_vex,
        map=opcode_map,
        opcode=opcode,
        opcode_offset=opcode_offset,
        modrm=modrm,
        sib=sib,
        displacement_offset=at if displacement else 0,
        displacement_size=displacement,
        immediate_offset=after if immediate else 0,
        immediate_size=immediate,
    )


def _vex(code: bytes, at: int) -> tuple[OpcodeMap, int, int]:
    """The map, the REX byte that the prefix stands for, and the opcode's offset (Intel SDM 2.3.5)."""
    if code[at] == 0xC5:
        return OpcodeMap.TWO_BYTE, 0x40 | (~code[at + 1] >> 5 & 4), at + 2
    maps = {1: OpcodeMap.TWO_BYTE, 2: OpcodeMap.MAP_0F38, 3: OpcodeMap.MAP_0F3A}
    opcode_map = maps.get(code[at + 1] & (0x07 if code[at] == 0x62 else 0x1F), OpcodeMap.OTHER)
    rex = 0x40 | (code[at + 2] >> 4 & 8) | (~code[at + 1] >> 5 & 7)
    return opcode_map, rex, at + (4 if code[at] == 0x62 else 3)
