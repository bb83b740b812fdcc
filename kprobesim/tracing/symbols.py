"""Addresses as the kernel hides them: ``%p``."""

from __future__ import annotations

import hashlib

from kprobesim.kprobes import RunningKernel

__all__ = ["hashed_pointer"]


def hashed_pointer(kernel: RunningKernel, address: int) -> str:
    """What ``%p`` prints: 16 digits that tell pointers apart without giving the address away.

    Linux lib/vsprintf.c uses SipHash with a key of each boot; here the key is the machine's seed.
    """
    seed = kernel.machine.seed & (1 << 64) - 1
    digest = hashlib.blake2b(address.to_bytes(8, "little"), key=seed.to_bytes(8, "little"), digest_size=4)
    return digest.hexdigest().rjust(16, "0")
