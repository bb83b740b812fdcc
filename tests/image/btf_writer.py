"""Writes BTF sections without pahole."""

import struct


class BtfWriter:
    """Each method adds one type and returns its id."""

    def __init__(self) -> None:
        self.types = b""
        self.strings = b"\0"
        self.count = 0

    def name(self, text: str) -> int:
        if not text:
            return 0
        offset = len(self.strings)
        self.strings += text.encode() + b"\0"
        return offset

    def add(self, kind: int, name: str, word: int, *, vlen: int = 0, flag: bool = False, extra: bytes = b"") -> int:
        self.types += struct.pack("<III", self.name(name), flag << 31 | kind << 24 | vlen, word) + extra
        self.count += 1
        return self.count

    def integer(self, name: str, size: int, encoding: int = 0) -> int:
        return self.add(1, name, size, extra=struct.pack("<I", encoding << 24 | size * 8))

    def pointer(self, target: int) -> int:
        return self.add(2, "", target)

    def array(self, target: int, index: int, count: int) -> int:
        return self.add(3, "", 0, extra=struct.pack("<III", target, index, count))

    def struct(self, name: str, size: int, members: list[tuple[str, int, int]], *, union: bool = False) -> int:
        """Members are name, type id and offset in bits."""
        extra = b"".join(struct.pack("<III", self.name(label), kind, bits) for label, kind, bits in members)
        return self.add(5 if union else 4, name, size, vlen=len(members), extra=extra)

    def bit_struct(self, name: str, size: int, members: list[tuple[str, int, int, int]]) -> int:
        """Members are name, type id, offset in bits and size in bits."""
        rows = [struct.pack("<III", self.name(label), kind, size << 24 | bits) for label, kind, bits, size in members]
        return self.add(4, name, size, vlen=len(members), flag=True, extra=b"".join(rows))

    def enum(self, name: str, values: dict[str, int], *, signed: bool = False) -> int:
        extra = b"".join(struct.pack("<II", self.name(label), value & 0xFFFFFFFF) for label, value in values.items())
        return self.add(6, name, 4, vlen=len(values), flag=signed, extra=extra)

    def enum64(self, name: str, values: dict[str, int], *, signed: bool = False) -> int:
        extra = b"".join(struct.pack("<IQ", self.name(label), value & (1 << 64) - 1) for label, value in values.items())
        return self.add(19, name, 8, vlen=len(values), flag=signed, extra=extra)

    def proto(self, returns: int, parameters: list[tuple[str, int]]) -> int:
        extra = b"".join(struct.pack("<II", self.name(label), kind) for label, kind in parameters)
        return self.add(13, "", returns, vlen=len(parameters), extra=extra)

    def build(self) -> bytes:
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return header + self.types + self.strings
