"""A few x86-64 instructions as bytes, with labels: enough to write small guests without an assembler."""

import struct
from typing import Final, Self

__all__ = ["Code"]

REGISTERS: Final = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip

PLAIN: Final = {
    "cli": "fa",
    "hlt": "f4",
    "int3": "cc",
    "iretq": "48cf",
    "leave": "c9",
    "nop": "90",
    "popf": "9d",
    "pushf": "9c",
    "ret": "c3",
    "sti": "fb",
    "swapgs": "0f01f8",
    "syscall": "0f05",
    "sysretq": "480f07",
    "ud2": "0f0b",
    "wrmsr": "0f30",
    "rep stosb": "f3aa",
    "push $-1": "6aff",
    "push 40(%rsp)": "ff742428",
    "mov %rsp,%rdi": "4889e7",
    "test %eax,%eax": "85c0",
    "test %r10,%r10": "4d85d2",
    "call *%r10": "41ffd2",
    "mov %rax,%rdi": "4889c7",
    "add $48,%rsp": "4883c430",
    "inc %rax": "48ffc0",
    "dec %rcx": "48ffc9",
    "inc %rbx": "48ffc3",
    "xor %eax,%eax": "31c0",
    "div %rcx": "48f7f1",
    "mov (%rcx),%rax": "488b01",
    "mov %rax,(%rcx)": "488901",
    "add $8,%rsp": "4883c408",
    "jmp *%rax": "ffe0",
    "in %dx,%al": "ec",
    "out %al,%dx": "ee",
    "out %eax,%dx": "ef",
    "mov %cr2,%rax": "0f20d0",
    "ltr %ax": "0f00d8",
    "mov %eax,%ss": "8ed0",
    "mov %rax,%cr3": "0f22d8",
    "lretq": "48cb",
}


class Code:
    """Instructions in the making; every method appends one and returns the builder.

    Args:
        origin: virtual address of the first byte.

    Attributes:
        labels: addresses by name.
    """

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self.labels: dict[str, int] = {}
        self._bytes = bytearray()
        self._fixups: list[tuple[int, str, bool]] = []

    @property
    def here(self) -> int:
        """Address of the next instruction."""
        return self.origin + len(self._bytes)

    def label(self, name: str) -> Self:
        assert name not in self.labels, f"label {name} twice"
        self.labels[name] = self.here
        return self

    def raw(self, code: str) -> Self:
        """Bytes in hexadecimal."""
        self._bytes += bytes.fromhex(code)
        return self

    def op(self, *names: str) -> Self:
        """Instructions without a variable part."""
        for name in names:
            self.raw(PLAIN[name])
        return self

    def align(self, size: int = 16) -> Self:
        """Nops up to the next multiple of ``size``."""
        while self.here % size:
            self.op("nop")
        return self

    def mov(self, register: str, value: int | str) -> Self:
        """``movabs``: a 64-bit number, or a label's address."""
        number = REGISTERS.index(register)
        self._bytes += bytes([0x48 | number >> 3, 0xB8 | number & 7])
        if isinstance(value, str):
            self._fixups.append((len(self._bytes), value, False))
            value = 0
        self._bytes += struct.pack("<Q", value & (1 << 64) - 1)
        return self

    def push(self, register: str) -> Self:
        number = REGISTERS.index(register)
        self._bytes += bytes([0x41] if number >> 3 else []) + bytes([0x50 | number & 7])
        return self

    def pop(self, register: str) -> Self:
        number = REGISTERS.index(register)
        self._bytes += bytes([0x41] if number >> 3 else []) + bytes([0x58 | number & 7])
        return self

    def interrupt(self, vector: int) -> Self:
        self._bytes += bytes([0xCD, vector])
        return self

    def load(self, address: int) -> Self:
        """``movabs address,%rax``."""
        return self.raw("48a1" + struct.pack("<Q", address).hex())

    def store(self, address: int) -> Self:
        """``movabs %rax,address``."""
        return self.raw("48a3" + struct.pack("<Q", address).hex())

    def jmp(self, label: str) -> Self:
        return self.raw("e9")._relative(label)

    def call(self, label: str) -> Self:
        return self.raw("e8")._relative(label)

    def jnz(self, label: str) -> Self:
        return self.raw("0f85")._relative(label)

    def jz(self, label: str) -> Self:
        return self.raw("0f84")._relative(label)

    def out(self, port: int) -> Self:
        """``mov $port,%dx; out %eax,%dx``."""
        return self.raw("66ba" + struct.pack("<H", port).hex()).op("out %eax,%dx")

    def hypercall(self, number: int, rdi: int | str = 0, rsi: int | str = 0, rdx: int = 0) -> Self:
        self.mov("rdi", rdi).mov("rsi", rsi).mov("rdx", rdx).mov("rax", number)
        return self.raw("e7b8")  # out %eax,$0xb8

    def stub(self, name: str, number: int) -> Self:
        """A function that is a hypercall, and makes the calls that the host asks for before it answers."""
        self.label(name).mov("rax", number)
        return self.raw("e7b8 4d85d2 740d 41ffd2 4889c7 b800000000 ebec c3")

    def put(self, text: str) -> Self:
        """Print on the console."""
        for byte in text.encode():
            self.mov("rax", byte).mov("rdx", 0x3F8).op("out %al,%dx")
        return self

    def build(self) -> bytes:
        for place, label, relative in self._fixups:
            value = self.labels[label]
            if relative:
                struct.pack_into("<i", self._bytes, place, value - (self.origin + place + 4))
            else:
                struct.pack_into("<Q", self._bytes, place, value)
        return bytes(self._bytes)

    def _relative(self, label: str) -> Self:
        self._fixups.append((len(self._bytes), label, True))
        self._bytes += bytes(4)
        return self
