"""What can be made different in a life: a byte, a register, the profile, a step of the kprobe core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kprobesim.errors import BadInput
from kprobesim.kprobes import FixUp
from kprobesim.lab.profiles import Profile

__all__ = ["ByteChange", "Change", "FixUpOff", "ProfileChange", "RegisterChange", "read_bytes", "read_register"]

_MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class ByteChange:
    """Other bytes at a virtual address, in the address space that is in use at the moment."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class RegisterChange:
    """Another value in a register; ``cpu`` None is the vCPU whose turn it is."""

    register: str
    value: int
    cpu: int | None = None


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """The same experiment from its beginning, on a kernel that was built in another way."""

    profile: Profile


@dataclass(frozen=True, slots=True)
class FixUpOff:
    """The same experiment from its beginning, without a step of the kprobe core."""

    fixup: FixUp


Change = ByteChange | RegisterChange | ProfileChange | FixUpOff


def read_bytes(text: str, address_of: Callable[[str], int]) -> ByteChange:
    """A change of bytes as it is typed: ``vfs_read+0x1=90 90``.

    Args:
        text: a place, an equals sign, bytes in hex.
        address_of: finds the place's address, as `Lab.address_of` does.

    Raises:
        BadInput: it cannot be read, or there is no such place.
    """
    place, _, digits = text.partition("=")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        data = b""
    if not 0 < len(data) <= _MOST_BYTES:
        raise BadInput(f"{digits[:40]!r} is not one to {_MOST_BYTES:,} bytes in hex.", hint="For example vfs_read=90.")
    return ByteChange(address_of(place.strip()), data)


def read_register(text: str) -> RegisterChange:
    """A change of a register as it is typed: ``rax=0x10``, of the vCPU whose turn it is.

    Raises:
        BadInput: it cannot be read.
    """
    name, _, value = text.partition("=")
    try:
        return RegisterChange(name.strip(), int(value, 0))
    except ValueError:
        raise BadInput(f"{text[:40]!r} is not NAME=VALUE.", hint="For example rax=0x10.") from None
