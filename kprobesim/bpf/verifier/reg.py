"""What is known of one register or one spilled stack slot.

A Reg that a state holds is never changed: states share them freely, and whoever wants to change one copies it first.
That makes copying a state a matter of copying lists. Liveness and the link to the parent state belong to the place and
not to the value, so they are kept by the Frame. Follows ``struct bpf_reg_state`` of Linux include/linux/bpf_verifier.h
and the ``__mark_reg_*`` functions of kernel/bpf/verifier.c.
"""

from typing import Any

from kprobesim.bpf.verifier.map_meta import MapMeta
from kprobesim.bpf.verifier.reg_type import NOT_INIT, SCALAR_VALUE
from kprobesim.bpf.verifier.tnum import UNKNOWN, ZERO, Tnum, tnum_const_subreg

__all__ = [
    "S32_MAX",
    "S32_MIN",
    "S64_MAX",
    "S64_MIN",
    "U32_MAX",
    "U64_MAX",
    "Reg",
    "known_reg",
    "known_zero_reg",
    "not_init_reg",
    "s32",
    "s64",
    "unknown_reg",
    "zeroed_reg",
]

U64_MAX = (1 << 64) - 1
U32_MAX = (1 << 32) - 1
S64_MIN, S64_MAX = -(1 << 63), (1 << 63) - 1
S32_MIN, S32_MAX = -(1 << 31), (1 << 31) - 1


def s64(number: int) -> int:
    """The low 64 bits as a signed number."""
    number &= U64_MAX
    return number - (number >> 63 << 64)


def s32(number: int) -> int:
    """The low 32 bits as a signed number."""
    number &= U32_MAX
    return number - (number >> 31 << 32)


class Reg:
    """One abstract value.

    Attributes:
        type: see reg_type.
        off: constant part of a pointer's offset.
        map: the map that a map pointer, a key or a value belongs to.
        btf: name of the kernel struct that a PTR_TO_BTF_ID points to.
        extent: by type: checked bytes of a packet (may be negative: at or beyond its end), size of a memory block,
            number of a function, or identity of the inner map's value for maps in maps.
        id: values with the same id are equal, or become not-NULL together.
        ref_obj_id: the reference that must be released.
        var_off, smin .. u32_max: what is known of the number, or of a pointer's variable offset.
        frameno: whose stack a PTR_TO_STACK points into.
        precise: whether pruning may not ignore a scalar's exact value.
    """

    __slots__ = (
        "_text",
        "btf",
        "extent",
        "frameno",
        "id",
        "map",
        "off",
        "precise",
        "ref_obj_id",
        "s32_max",
        "s32_min",
        "smax",
        "smin",
        "type",
        "u32_max",
        "u32_min",
        "umax",
        "umin",
        "var_off",
    )

    _text: str | None
    type: int
    off: int
    map: MapMeta | None
    btf: str
    extent: int
    id: int
    ref_obj_id: int
    var_off: Tnum
    smin: int
    smax: int
    umin: int
    umax: int
    s32_min: int
    s32_max: int
    u32_min: int
    u32_max: int
    frameno: int
    precise: bool

    def __init__(self, reg_type: int = NOT_INIT) -> None:
        self._text = None
        self.type = reg_type
        self.off = 0
        self.map = None
        self.btf = ""
        self.extent = 0
        self.id = 0
        self.ref_obj_id = 0
        self.var_off = ZERO
        self.smin = self.smax = self.umin = self.umax = 0
        self.s32_min = self.s32_max = self.u32_min = self.u32_max = 0
        self.frameno = 0
        self.precise = False

    def copy(self) -> "Reg":
        """A Reg of one's own, free to change until a state holds it."""
        new = Reg.__new__(Reg)
        new._text = None
        new.type = self.type
        new.off = self.off
        new.map = self.map
        new.btf = self.btf
        new.extent = self.extent
        new.id = self.id
        new.ref_obj_id = self.ref_obj_id
        new.var_off = self.var_off
        new.smin = self.smin
        new.smax = self.smax
        new.umin = self.umin
        new.umax = self.umax
        new.s32_min = self.s32_min
        new.s32_max = self.s32_max
        new.u32_min = self.u32_min
        new.u32_max = self.u32_max
        new.frameno = self.frameno
        new.precise = self.precise
        return new

    def with_(self, **changes: Any) -> "Reg":
        """A copy with some attributes changed."""
        new = self.copy()
        for name, value in changes.items():
            setattr(new, name, value)
        return new

    def set_known(self, value: int) -> None:
        """The number is ``value``; nothing else changes (Linux's ___mark_reg_known)."""
        value &= U64_MAX
        self.var_off = Tnum(value, 0)
        self.smin = self.smax = value - (value >> 63 << 64)
        self.umin = self.umax = value
        low = value & U32_MAX
        self.s32_min = self.s32_max = low - (low >> 31 << 32)
        self.u32_min = self.u32_max = low

    def set_known32(self, value: int) -> None:
        """The low half is ``value`` (Linux's __mark_reg32_known)."""
        value &= U32_MAX
        self.var_off = tnum_const_subreg(self.var_off, value)
        self.s32_min = self.s32_max = value - (value >> 31 << 32)
        self.u32_min = self.u32_max = value

    def set_unbounded64(self) -> None:
        """Forget the 64-bit bounds."""
        self.smin, self.smax, self.umin, self.umax = S64_MIN, S64_MAX, 0, U64_MAX

    def set_unbounded32(self) -> None:
        """Forget the 32-bit bounds."""
        self.s32_min, self.s32_max, self.u32_min, self.u32_max = S32_MIN, S32_MAX, 0, U32_MAX

    def set_unknown(self, precise: bool) -> None:
        """Become a scalar of which nothing is known (Linux's __mark_reg_unknown)."""
        self.type = SCALAR_VALUE
        self.off = self.extent = self.id = self.ref_obj_id = self.frameno = 0
        self.map = None
        self.btf = ""
        self.var_off = UNKNOWN
        self.set_unbounded64()
        self.set_unbounded32()
        self.precise = precise

    @property
    def is_null(self) -> bool:
        """Whether it is the scalar 0 (Linux's register_is_null)."""
        return self.type == SCALAR_VALUE and self.var_off == ZERO

    @property
    def is_bounded(self) -> bool:
        """Whether anything is known of a scalar (Linux's register_is_bounded)."""
        return self.type == SCALAR_VALUE and not (
            self.var_off == UNKNOWN
            and self.smin == S64_MIN
            and self.smax == S64_MAX
            and self.umin == 0
            and self.umax == U64_MAX
            and self.s32_min == S32_MIN
            and self.s32_max == S32_MAX
            and self.u32_min == 0
            and self.u32_max == U32_MAX
        )

    def same_shape(self, other: "Reg") -> bool:
        """Whether type, fixed offset and target agree (Linux compares up to ``id``)."""
        return (
            self.type == other.type
            and self.off == other.off
            and self.map is other.map
            and self.extent == other.extent
            and self.btf == other.btf
        )

    def same_value(self, other: "Reg") -> bool:
        """Whether all that is known agrees (Linux compares up to ``parent``)."""
        return self is other or (
            self.same_shape(other)
            and self.id == other.id
            and self.ref_obj_id == other.ref_obj_id
            and self.var_off == other.var_off
            and self.smin == other.smin
            and self.smax == other.smax
            and self.umin == other.umin
            and self.umax == other.umax
            and self.s32_min == other.s32_min
            and self.s32_max == other.s32_max
            and self.u32_min == other.u32_min
            and self.u32_max == other.u32_max
        )


def known_reg(value: int, reg_type: int = SCALAR_VALUE) -> Reg:
    """A constant."""
    reg = Reg(reg_type)
    reg.set_known(value)
    return reg


def known_zero_reg(reg_type: int, **fields: Any) -> Reg:
    """A pointer of this type with offset 0 (Linux's mark_reg_known_zero)."""
    return Reg(reg_type).with_(**fields) if fields else Reg(reg_type)


def unknown_reg(precise: bool = False) -> Reg:
    """A scalar of which nothing is known."""
    reg = Reg()
    reg.set_unknown(precise)
    return reg


def not_init_reg(precise: bool = False) -> Reg:
    """A register that was never written."""
    reg = unknown_reg(precise)
    reg.type = NOT_INIT
    return reg


def zeroed_reg() -> Reg:
    """What a stack slot is before anything was stored there."""
    return Reg()
