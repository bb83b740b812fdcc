"""The single statements of random programs: numbers, arithmetic, comparisons, plain accesses, calls.

R6 holds the context throughout.
"""

from kprobesim.bpf.isa import Insn
from tests.bpf.verifier.soundness.draft import Draft

__all__ = [
    "ALU",
    "ARRAY",
    "ARRAY_SIZE",
    "CTX_SIZE",
    "HASH",
    "IMMS",
    "JUMPS",
    "MAP",
    "ORDERS",
    "RING",
    "SIZE_CODES",
    "Statements",
]

CTX_SIZE = 168
ARRAY, HASH, RING = 0, 1, 2
"""Indexes of the program's maps: an array of one value of ARRAY_SIZE bytes, a hash of u64 to 16 bytes, a ring."""
ARRAY_SIZE = 48
HASH_VALUE = 16

MAP, MAP_VALUE = 5, 6
ALU = (0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xA0, 0xB0, 0xC0)
SHIFTS = (0x60, 0x70, 0xC0)
JUMPS = (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0, 0xD0)
ORDERS = (0x20, 0x30, 0xA0, 0xB0, 0x60, 0x70, 0xC0, 0xD0)
SIZE_CODES = {4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18}
ATOMICS = (0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xA0, 0xA1, 0xE1, 0xF1, 0xF1, 0xF1)
IMMS = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 40, 47, 48, 63, 64, 127, 255, 256, 0xFFF, 0x7FFFFFFF)
MASKS = (1, 3, 7, 8, 15, 31, 0x28, 0x30, 63, 255, 0xFFFF, -1, -8)


class Statements(Draft):
    """Statements that make sense one by one."""

    def scalar(self) -> int:
        """A register with a number in it."""
        found = self.pick("s")
        return self.number() if found is None or self.rng.random() < 0.2 else found

    def number(self) -> int:
        rng, dst = self.rng, self.free()
        kind = rng.random()
        if kind < 0.55 and self.main:
            size = rng.choice((1, 2, 4, 8, 8))
            beyond = rng.random() < 0.01
            self.put(0x61 | SIZE_CODES[size], dst, 6, CTX_SIZE if beyond else rng.randrange(CTX_SIZE // size) * size)
        elif kind < 0.65:
            self.load64(dst, rng.choice((rng.getrandbits(64), 1 << 63, (1 << 32) - 1, 1 << 32, rng.getrandbits(31))))
        elif kind < 0.75:
            self.helper(rng.choice((5, 7, 8, 14)))
            return 0
        else:
            self.put(rng.choice((0xB7, 0xB4)), dst, imm=rng.choice(IMMS) * rng.choice((1, 1, -1)))
        self.kinds[dst] = "s"
        return dst

    def helper(self, number: int) -> None:
        self.put(0x85, imm=number)
        self.kinds[:6] = ["s", "", "", "", "", ""]

    def arithmetic(self) -> None:
        rng = self.rng
        dst = self.scalar()
        op = rng.choice(ALU)
        wide = rng.random() < 0.6
        cls = 7 if wide else 4
        if op == 0xB0 or rng.random() < 0.4:
            src = self.scalar()
            if self.kinds[dst] == "s" or op == 0xB0:
                self.put(op | 8 | cls, dst, src)
        else:
            imm = rng.choice(MASKS if op == 0x50 else IMMS)
            if op in SHIFTS:
                imm = rng.randrange(64 if wide else 32)
            elif op in (0x30, 0x90):
                imm = imm or 1
            self.put(op | cls, dst, imm=imm)
        if rng.random() < 0.08:
            self.put(0x87 if wide else 0x84, dst)
        if rng.random() < 0.08:
            self.put(rng.choice((0xD4, 0xDC)), dst, imm=rng.choice((16, 32, 64)))

    def compare(self, label: str) -> None:
        """A comparison whose outcome both ways goes on."""
        rng = self.rng
        dst = self.scalar()
        cls = rng.choice((5, 5, 6))
        if rng.random() < 0.3:
            src = self.scalar()
            if self.kinds[dst] == "s":
                self.jump(rng.choice(JUMPS) | 8 | cls, dst, src, 0, label)
        else:
            self.jump(rng.choice(JUMPS) | cls, dst, 0, rng.choice(IMMS) * rng.choice((1, 1, 1, -1)), label)

    def wild(self) -> None:
        """Any register, whatever it holds."""
        dst = self.free()
        self.put(0xBF, dst, self.rng.randrange(10))
        self.kinds[dst] = "s"

    def squeeze(self, reg: int) -> None:
        rng = self.rng
        if rng.random() < 0.1:
            self.put(rng.choice((0x87, 0x84)), reg)
            return
        if rng.random() < 0.05:
            self.put(rng.choice((0xD4, 0xDC)), reg, imm=rng.choice((16, 32, 64)))
            return
        if rng.random() < 0.1:
            self.put(rng.choice((0xBF, 0xBC)), reg, reg)
            return
        op = rng.choice((*ALU[:-2], 192))
        imm = rng.randrange(32) if op in SHIFTS else rng.choice(MASKS if op == 0x50 else IMMS)
        if op in (0x30, 0x90):
            imm = imm or 3
        self.put(op | rng.choice((7, 4)), reg, imm=imm)

    def small(self, reg: int, label: str) -> None:
        """A number of which something is known, and often not everything."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.2:
            self.put(rng.choice((0xB7, 0xB4)), reg, imm=rng.choice(IMMS) * rng.choice((1, 1, -1)))
            return
        self.put(0x61 | SIZE_CODES[rng.choice((1, 4, 8, 8))], reg, 6 if self.main else 10, 0 if self.main else -8)
        if self.main:
            made = self.items[-1]
            assert isinstance(made, Insn)
            self.items[-1] = made._replace(off=8 * rng.randrange(CTX_SIZE // 8))
        if kind < 0.6:
            self.put(rng.choice((0x57, 0x57, 0x54)), reg, imm=rng.choice(MASKS))
        elif kind < 0.9:
            self.jump(rng.choice(ORDERS) | rng.choice((5, 5, 6)), reg, 0, rng.choice(IMMS) * rng.choice((1, -1)), label)

    def bounded(self, limit: int, label: str) -> int:
        """A number that was compared with ``limit`` in some way, or masked."""
        rng = self.rng
        plainly = rng.random() < 0.35
        reg = self.number() if plainly or rng.random() < 0.5 else self.scalar()
        for _ in range(0 if plainly else rng.randrange(3)):
            if self.kinds[reg] == "s":
                self.squeeze(reg)
        if not plainly and rng.random() < 0.45:
            self.put(rng.choice((0x57, 0x54)), reg, imm=rng.choice(MASKS))
        if plainly or rng.random() < 0.75:
            op = rng.choice(ORDERS)
            good_below = op in (0x20, 0x30, 0x60, 0x70)
            cls = rng.choice((5, 5, 5, 6))
            # The last number that is fine, or one beside it.
            line = limit + (op in (0x30, 0x70, 0xA0, 0xC0)) + rng.choice((0, 0, 0, 1, 1, -1))
            if good_below:
                self.jump(op | cls, reg, 0, line, label)
            else:
                fine = self.new_label()
                self.jump(op | cls, reg, 0, line, fine)
                self.jump(0x05, 0, 0, 0, label)
                self.place(fine)
            if op in (0x60, 0x70, 0xC0, 0xD0) and rng.random() < 0.9:
                self.jump(0xC5 if cls == 5 else 0xC6, reg, 0, rng.choice((0, 0, 0, 1, -1)), label)
        return reg

    def value(self) -> tuple[int, int]:
        """A register that points to a map's value, and how many bytes of it lie behind."""
        rng = self.rng
        dst = rng.choice((7, 8, 9))
        if rng.random() < 0.6:
            start = rng.choice((0, 0, 8))
            size = ARRAY_SIZE - start
            self.load64(dst, ARRAY | start << 32, MAP_VALUE)
        else:
            self.put(0x7A, 10, off=-8, imm=rng.randrange(3))
            self.put(0xBF, 2, 10)
            self.put(0x07, 2, imm=-8)
            size = rng.choice((HASH_VALUE, ARRAY_SIZE, ARRAY_SIZE))
            self.load64(1, HASH if size == HASH_VALUE else ARRAY, MAP)
            self.helper(1)
            self.jump(0x15, 0, 0, 0, "out")
            self.put(0xBF, dst, 0)
            self.kinds[0] = ""
        self.kinds[dst] = "v"
        return dst, size

    def access(self, base: int, off: int, size: int) -> None:
        rng = self.rng
        kind = rng.random()
        if kind < 0.45:
            dst = self.free()
            self.put(0x61 | SIZE_CODES[size], dst, base, off)
            self.kinds[dst] = "s"
        elif kind < 0.65:
            self.put(0x62 | SIZE_CODES[size], base, 0, off, rng.choice(IMMS))
        elif kind < 0.85 or size < 4:
            src = self.pick("s")
            if src is not None:
                self.put(0x63 | SIZE_CODES[size], base, src, off)
        else:
            src = self.pick("s")
            imm = rng.choice(ATOMICS)
            if imm == 0xF1 and self.kinds[0] != "s" and base:
                self.put(0xB7, 0, imm=rng.choice(IMMS))
                self.kinds[0] = "s"
            if src is not None and (imm != 0xF1 or self.kinds[0] == "s"):
                self.put(0xC3 | SIZE_CODES[size], base, src, off - off % size, imm)

    def map_access(self) -> None:
        base = self.pick("v")
        if base is None or self.rng.random() < 0.3:
            base, _ = self.value()
        size = self.rng.choice((1, 2, 4, 8))
        self.access(base, self.off(size, 16 if self.rng.random() < 0.6 else ARRAY_SIZE), size)

    def stack_access(self) -> None:
        rng = self.rng
        size = rng.choice((1, 2, 4, 8, 8))
        off = -rng.randrange(1, self.depth // size + 1) * size
        if self.written and rng.random() < 0.4:
            off = rng.choice(sorted(self.written)) + size * rng.randrange(8 // size)
        if rng.random() < 0.03:
            off = rng.choice((0, -self.depth - size, -self.depth + 1))
        self.access(10, off, size)

    def mixed_slot(self) -> None:
        """A slot with zeros beside something else, and a load of more than the zeros."""
        rng = self.rng
        slot = -8 * rng.randrange(1, 5)
        size = rng.choice((1, 2, 4))
        self.put(0x7A, 10, off=slot)
        self.put(0x62 | SIZE_CODES[size], 10, 0, slot + size * rng.randrange(8 // size), rng.choice(IMMS))
        wide = rng.choice((2, 4, 8, 8))
        dst = self.free()
        self.put(0x61 | SIZE_CODES[wide], dst, 10, slot + wide * rng.randrange(8 // wide))
        self.kinds[dst] = "s"
        self.written.pop(slot, None)

    def spill(self) -> None:
        """A register to the stack and, some time, back."""
        rng = self.rng
        if rng.random() < 0.15:
            self.mixed_slot()
            return
        slot = -8 * rng.randrange(1, self.depth // 8 + 1)
        kept = [off for off in self.written if self.written[off]]
        if kept and rng.random() < 0.5:
            off = rng.choice(kept)
            dst = self.free()
            self.put(0x79, dst, 10, off)
            self.kinds[dst] = "s" if self.written[off] == "s" else ""
        elif (src := self.pick(rng.choice("ssv"))) is not None:
            self.put(0x7B, 10, src, slot)
            self.written[slot] = self.kinds[src] if rng.random() < 0.9 else "s"

    def update(self) -> None:
        self.put(0x7A, 10, off=-8, imm=self.rng.randrange(4))
        self.put(0x7A, 10, off=-24, imm=self.rng.choice(IMMS))
        self.put(0x7A, 10, off=-16, imm=5)
        for register, off in ((2, -8), (3, -24)):
            self.put(0xBF, register, 10)
            self.put(0x07, register, imm=off)
        self.load64(1, HASH, MAP)
        self.put(0xB7, 4, imm=0)
        self.helper(2 if self.rng.random() < 0.8 else 3)

    def call(self) -> None:
        """A function of the program's own; it gets numbers, and one pointer or other."""
        rng = self.rng
        if not self.callees:
            self.arithmetic()
            return
        for register in range(1, 6):
            self.put(0xB7, register, imm=rng.choice(IMMS))
        source = self.pick(rng.choice("svs"))
        if source is not None and source > 5:
            self.put(0xBF, 1, source)
        self.put(0x85, src=1, imm=rng.randrange(1, self.callees + 1))
        self.kinds[:6] = ["s", "", "", "", "", ""]

    def narrow(self, reg: int, most: int, masked: bool) -> None:
        """A number that is ``most``, or has no bits that ``most`` lacks."""
        self.put(0x57 if masked else 0xB7, reg, imm=most)
