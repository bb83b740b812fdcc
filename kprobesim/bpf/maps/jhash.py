"""Bob Jenkins' lookup3 (public domain): Linux's jhash, for hash maps, stack traces and bloom filters."""

import struct

__all__ = ["jhash"]

_MASK = 0xFFFFFFFF


def _rot(word: int, count: int) -> int:
    return (word << count | word >> 32 - count) & _MASK


def _hash(words: list[int], length: int, seed: int) -> int:
    a = b = c = 0xDEADBEEF + length + seed & _MASK
    at, left = 0, len(words)
    while left > 3:
        a, b, c = a + words[at] & _MASK, b + words[at + 1] & _MASK, c + words[at + 2] & _MASK
        a, c = (a - c & _MASK) ^ _rot(c, 4), c + b & _MASK
        b, a = (b - a & _MASK) ^ _rot(a, 6), a + c & _MASK
        c, b = (c - b & _MASK) ^ _rot(b, 8), b + a & _MASK
        a, c = (a - c & _MASK) ^ _rot(c, 16), c + b & _MASK
        b, a = (b - a & _MASK) ^ _rot(a, 19), a + c & _MASK
        c, b = (c - b & _MASK) ^ _rot(b, 4), b + a & _MASK
        at += 3
        left -= 3
    if left:
        rest = [*words[at:], 0, 0]
        a, b, c = a + rest[0] & _MASK, b + rest[1] & _MASK, c + rest[2] & _MASK
        c = (c ^ b) - _rot(b, 14) & _MASK
        a = (a ^ c) - _rot(c, 11) & _MASK
        b = (b ^ a) - _rot(a, 25) & _MASK
        c = (c ^ b) - _rot(b, 16) & _MASK
        a = (a ^ c) - _rot(c, 4) & _MASK
        b = (b ^ a) - _rot(a, 14) & _MASK
        c = (c ^ b) - _rot(b, 24) & _MASK
    return c


def jhash(key: bytes, seed: int = 0) -> int:
    """``hashlittle`` of some bytes: 32 bits. For whole words it is what Linux's jhash2 gives."""
    padded = key + bytes(-len(key) % 4)
    return _hash(list(struct.unpack(f"<{len(padded) // 4}I", padded)), len(key), seed)
