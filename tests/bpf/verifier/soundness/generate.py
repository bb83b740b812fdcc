"""Random programs that the verifier accepts often, and that lean on what it believes.

The generator keeps a rough idea of what each register holds, so that most of what it writes makes sense; it does not
know bounds. Numbers from the context go through arithmetic and comparisons of all kinds and then become offsets into
map values and the stack: whether such an access is safe is for the verifier to say, and whether the verifier was right
shows when the program runs. R6 holds the context throughout.
"""

from random import Random

from kprobesim.bpf.isa import Insn
from tests.bpf.verifier.soundness.draft import CALLEE_STACK, Draft

__all__ = ["ARRAY", "ARRAY_SIZE", "CTX_SIZE", "HASH", "random_program"]

CTX_SIZE = 168
ARRAY, HASH = 0, 1
"""Indexes of the program's maps: an array of one value of ARRAY_SIZE bytes, a hash of u64 to 16 bytes."""
ARRAY_SIZE = 48
_HASH_VALUE = 16

_MAP, _MAP_VALUE = 5, 6
_ALU = (0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xA0, 0xB0, 0xC0)
_SHIFTS = (0x60, 0x70, 0xC0)
_JUMPS = (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0, 0xD0)
_ORDERS = (0x20, 0x30, 0xA0, 0xB0, 0x60, 0x70, 0xC0, 0xD0)
_SIZE_CODES = {4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18}
_ATOMICS = (0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xA0, 0xA1, 0xE1, 0xF1)
_IMMS = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 40, 47, 48, 63, 64, 127, 255, 256, 0xFFF, 0x7FFFFFFF)
_MASKS = (1, 3, 7, 8, 15, 31, 0x28, 0x30, 63, 255, 0xFFFF, -1, -8)


class _Function(Draft):
    """Statements that make sense together."""

    def scalar(self) -> int:
        """A register with a number in it."""
        found = self.pick("s")
        return self.number() if found is None or self.rng.random() < 0.2 else found

    def number(self) -> int:
        rng, dst = self.rng, self.free()
        kind = rng.random()
        if kind < 0.55 and self.main:
            size = rng.choice((1, 2, 4, 8, 8))
            self.put(0x61 | _SIZE_CODES[size], dst, 6, rng.randrange(0, CTX_SIZE // size) * size)
        elif kind < 0.65:
            self.load64(dst, rng.choice((rng.getrandbits(64), 1 << 63, (1 << 32) - 1, 1 << 32, rng.getrandbits(31))))
        elif kind < 0.75:
            self.helper(rng.choice((5, 7, 8, 14)))
            return 0
        else:
            self.put(rng.choice((0xB7, 0xB4)), dst, imm=rng.choice(_IMMS) * rng.choice((1, 1, -1)))
        self.kinds[dst] = "s"
        return dst

    def helper(self, number: int) -> None:
        self.put(0x85, imm=number)
        self.kinds[:6] = ["s", "", "", "", "", ""]

    def arithmetic(self) -> None:
        rng = self.rng
        dst = self.scalar()
        op = rng.choice(_ALU)
        wide = rng.random() < 0.6
        cls = 7 if wide else 4
        if op == 0xB0 or rng.random() < 0.4:
            src = self.scalar()
            if self.kinds[dst] == "s" or op == 0xB0:
                self.put(op | 8 | cls, dst, src)
        else:
            imm = rng.choice(_MASKS if op == 0x50 else _IMMS)
            if op in _SHIFTS:
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
                self.jump(rng.choice(_JUMPS) | 8 | cls, dst, src, 0, label)
        else:
            self.jump(rng.choice(_JUMPS) | cls, dst, 0, rng.choice(_IMMS) * rng.choice((1, 1, 1, -1)), label)

    def branch(self, depth: int) -> None:
        """``if`` with a short body; afterwards only what was so before and after the body is believed."""
        label = self.new_label()
        self.compare(label)
        before = self.kinds[:]
        self.block(self.rng.randrange(1, 4), depth + 1)
        self.place(label)
        self.meet(before)
        self.kinds[6] = "c" if self.main else self.kinds[6]

    def loop(self, depth: int) -> None:
        rng = self.rng
        counter = rng.choice((7, 8, 9))
        top = self.new_label()
        self.put(0xB7, counter, imm=0)
        self.kinds[counter] = "n"
        before = self.kinds[:]
        self.place(top)
        # What the body leaves must do for its next round.
        self.kinds = ["" if kind == "s" and i < 6 else kind for i, kind in enumerate(self.kinds)]
        self.block(rng.randrange(1, 3), depth + 1, keep=counter)
        self.put(0x07, counter, imm=rng.choice((1, 1, 2, 3)))
        self.jump(rng.choice((0xA5, 0xB5, 0xC5, 0xA6)), counter, 0, rng.randrange(1, 9), top)
        self.kinds = [
            "s" if i == counter else k if k == b else ""
            for i, (k, b) in enumerate(zip(self.kinds, before, strict=False))
        ]

    def bounded(self, limit: int, label: str) -> int:
        """A number that was compared with ``limit`` in some way, or masked."""
        rng = self.rng
        plainly = rng.random() < 0.35
        reg = self.number() if plainly or rng.random() < 0.5 else self.scalar()
        for _ in range(0 if plainly else rng.randrange(3)):
            if self.kinds[reg] == "s":
                self.squeeze(reg)
        if not plainly and rng.random() < 0.45:
            self.put(rng.choice((0x57, 0x54)), reg, imm=rng.choice(_MASKS))
        if plainly or rng.random() < 0.75:
            op = rng.choice(_ORDERS)
            good_below = op in (0x20, 0x30, 0x60, 0x70)
            cls = rng.choice((5, 5, 5, 6))
            # The last number that is fine, or one beside it.
            line = limit + (op in (0x30, 0x70, 0xA0, 0xC0)) + rng.choice((0, 0, 0, 0, -1, -3, 1))
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

    def squeeze(self, reg: int) -> None:
        rng = self.rng
        op = rng.choice((*_ALU[:-2], 192))
        imm = rng.randrange(32) if op in _SHIFTS else rng.choice(_MASKS if op == 0x50 else _IMMS)
        if op in (0x30, 0x90):
            imm = imm or 3
        self.put(op | rng.choice((7, 4)), reg, imm=imm)

    def value(self) -> tuple[int, int]:
        """A register that points to a map's value, and how many bytes of it lie behind."""
        rng = self.rng
        dst = rng.choice((7, 8, 9))
        if rng.random() < 0.6:
            start = rng.choice((0, 0, 8))
            size = ARRAY_SIZE - start
            self.load64(dst, ARRAY | start << 32, _MAP_VALUE)
        else:
            self.put(0x7A, 10, off=-8, imm=rng.randrange(3))
            self.put(0xBF, 2, 10)
            self.put(0x07, 2, imm=-8)
            size = rng.choice((_HASH_VALUE, ARRAY_SIZE, ARRAY_SIZE))
            self.load64(1, HASH if size == _HASH_VALUE else ARRAY, _MAP)
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
            self.put(0x61 | _SIZE_CODES[size], dst, base, off)
            self.kinds[dst] = "s"
        elif kind < 0.65:
            self.put(0x62 | _SIZE_CODES[size], base, 0, off, rng.choice(_IMMS))
        elif kind < 0.9 or size < 4:
            src = self.pick("s")
            if src is not None:
                self.put(0x63 | _SIZE_CODES[size], base, src, off)
        else:
            src = self.pick("s")
            imm = rng.choice(_ATOMICS)
            if src is not None and (imm != 0xF1 or self.kinds[0] == "s"):
                self.put(0xC3 | _SIZE_CODES[size], base, src, off - off % size, imm)

    def map_access(self) -> None:
        base = self.pick("v")
        if base is None or self.rng.random() < 0.3:
            base, _ = self.value()
        size = self.rng.choice((1, 2, 4, 8))
        self.access(base, self.off(size, 16 if self.rng.random() < 0.6 else ARRAY_SIZE), size)

    def map_access_at(self) -> None:
        """``value + number``: the heart of the matter."""
        rng = self.rng
        label = self.new_label()
        base, room = self.value()
        before = self.kinds[:]
        size = rng.choice((1, 2, 4, 8))
        off = rng.choice((0, 0, 0, 1, 8))
        reg = self.bounded(max(room - off - size, 1), label)
        if self.kinds[base] == "v" and reg != base:
            if rng.random() < 0.8:
                self.put(0x0F, base, reg)
            elif rng.random() < 0.5:
                self.put(0x1F, base, reg)
            else:
                self.put(0x0F, reg, base)
                self.kinds[reg], base = "", reg
            self.access(base, off, size)
        self.kinds[base] = ""
        self.place(label)
        self.meet(before)
        self.kinds[base] = ""

    def joined_access(self) -> None:
        """Two paths come together with different numbers, and the number is used: pruning must tell them apart."""
        rng = self.rng
        label = self.new_label()
        base, room = self.value()
        size = rng.choice((1, 2, 4, 8))
        last = room - size
        offset = rng.choice([r for r in (7, 8, 9) if r != base])
        one, other = (rng.choice((0, last // 2, last, last, last + rng.choice((0, 0, 1)))) for _ in range(2))
        masked = rng.random() < 0.3
        if masked:
            self.put(0x79, offset, 6 if self.main else 10, 8 * rng.randrange(8) if self.main else -8)
            self.put(0xBF, 4, offset)
        self.narrow(offset, one, masked)
        self.put(0x79, 5, 6 if self.main else 10, 8 * rng.randrange(8) if self.main else -16)
        self.jump(rng.choice(_JUMPS) | rng.choice((5, 6)), 5, 0, rng.choice(_IMMS), label)
        if masked:
            self.put(0xBF, offset, 4)
        self.narrow(offset, other, masked)
        self.place(label)
        if rng.random() < 0.4:
            self.put(0x7B, 10, offset, -40)
            offset = 3
            self.put(0x79, offset, 10, -40)
        self.put(0x0F, base, offset)
        self.kinds = ["" if i in (3, 4, 5, base, offset) else kind for i, kind in enumerate(self.kinds)]
        self.written.pop(-40, None)
        self.access(base, 0, size)

    def narrow(self, reg: int, most: int, masked: bool) -> None:
        """A number that is ``most``, or has no bits that ``most`` lacks."""
        self.put(0x57 if masked else 0xB7, reg, imm=most)

    def stack_access(self) -> None:
        rng = self.rng
        size = rng.choice((1, 2, 4, 8, 8))
        off = -rng.randrange(1, self.depth // size + 1) * size
        if rng.random() < 0.03:
            off = rng.choice((0, -self.depth - size, -self.depth + 1))
        self.access(10, off, size)

    def stack_access_at(self) -> None:
        """``r10 + number``."""
        rng = self.rng
        label = self.new_label()
        before = self.kinds[:]
        size = rng.choice((1, 2, 4, 8))
        reg = self.bounded(rng.choice((7, 15, 31)), label)
        self.put(0x57, reg, imm=-size)
        base = rng.choice([r for r in (7, 8, 9) if r != reg])
        self.put(0xBF, base, 10)
        self.put(0x07, base, imm=rng.choice((-64, -64, -32, -16)))
        self.put(0x0F, base, reg)
        self.kinds[base] = ""
        self.access(base, 0, size)
        self.place(label)
        self.meet(before)
        self.kinds[base] = ""

    def spill(self) -> None:
        """A register to the stack and, some time, back."""
        rng = self.rng
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

    def read_into_stack(self) -> None:
        """A helper that fills a buffer of some size; R3 is no address, so it fills it with zeros."""
        rng = self.rng
        label = self.new_label()
        before = self.kinds[:]
        reg = self.bounded(rng.choice((8, 16, 32)), label)
        self.put(0xBF, 2, reg)
        self.put(0xBF, 1, 10)
        self.put(0x07, 1, imm=-32 if rng.random() < 0.9 else -16)
        self.put(0xB7, 3, imm=rng.choice((0, 8)))
        self.helper(113)
        self.place(label)
        self.kinds = [
            "" if i < 6 else k if k == b else "" for i, (k, b) in enumerate(zip(self.kinds, before, strict=False))
        ]

    def update(self) -> None:
        self.put(0x7A, 10, off=-8, imm=self.rng.randrange(4))
        self.put(0x7A, 10, off=-24, imm=self.rng.choice(_IMMS))
        self.put(0x7A, 10, off=-16, imm=5)
        for register, off in ((2, -8), (3, -24)):
            self.put(0xBF, register, 10)
            self.put(0x07, register, imm=off)
        self.load64(1, HASH, _MAP)
        self.put(0xB7, 4, imm=0)
        self.helper(2 if self.rng.random() < 0.8 else 3)

    def call(self) -> None:
        """A function of the program's own; it gets numbers, and one pointer or other."""
        rng = self.rng
        if not self.callees:
            self.arithmetic()
            return
        for register in range(1, 6):
            self.put(0xB7, register, imm=rng.choice(_IMMS))
        source = self.pick(rng.choice("svs"))
        if source is not None and source > 5:
            self.put(0xBF, 1, source)
        self.put(0x85, src=1, imm=rng.randrange(1, self.callees + 1))
        self.kinds[:6] = ["s", "", "", "", "", ""]

    def block(self, count: int, depth: int, keep: int = -1) -> None:
        rng = self.rng
        for _ in range(count):
            roll = rng.random()
            if roll < 0.22:
                self.arithmetic()
            elif roll < 0.40:
                self.map_access_at()
            elif roll < 0.43:
                self.map_access()
            elif roll < 0.48:
                self.joined_access()
            elif roll < 0.56:
                self.stack_access()
            elif roll < 0.63:
                self.stack_access_at()
            elif roll < 0.71:
                self.spill()
            elif roll < 0.75:
                self.read_into_stack()
            elif roll < 0.78:
                self.update()
            elif roll < 0.84:
                self.call()
            elif roll < 0.94 and depth < 3:
                self.branch(depth)
            elif depth < 2 and keep < 0:
                self.loop(depth)
            else:
                self.number()


def _main(rng: Random, callees: int, longest: int) -> list[Insn]:
    made = _Function(rng, True, callees)
    made.put(0xBF, 6, 1)
    made.kinds[6], made.kinds[1] = "c", "c"
    made.block(rng.randrange(2, longest), 0)
    made.place("out")
    made.put(0xB7, 0, imm=0)
    made.put(0x95)
    result = made.pick("s")
    if result is None or rng.random() < 0.4:
        return made.insns()
    # Where the last number arrives alive, it is the result; "out" may be reached without it.
    at = made.places["out"]
    last = [Insn(0xBF, 0, result), Insn(0x95)]
    if not any(isinstance(item, tuple) and item[1] == "out" for item in made.items):
        return made.insns()[:at] + last
    made.items[at:at] = last
    made.places["out"] = at + len(last)
    return made.insns()


def _callee(rng: Random) -> list[Insn]:
    made = _Function(rng, False, 0)
    # What lies on a fresh stack differs from one way of running to the other.
    for slot in range(CALLEE_STACK // 8):
        made.put(0x7A, 10, off=-8 * (slot + 1))
    made.kinds[2:6] = ["s"] * 4
    made.block(rng.randrange(1, 5), 1)
    made.place("out")
    made.put(0xB7, 0, imm=rng.choice(_IMMS))
    made.put(0x95)
    return made.insns()


def random_program(rng: Random, longest: int = 12) -> tuple[Insn, ...]:
    """A program of one to three functions; its maps are meant by index."""
    main = _main(rng, rng.choice((0, 0, 0, 1, 2)), longest)
    called = sorted({insn.imm for insn in main if insn.code == 0x85 and insn.src == 1})
    functions = [main, *(_callee(rng) for _ in called)]
    starts = [sum(map(len, functions[:number])) for number in range(len(functions))]
    made = [insn for function in functions for insn in function]
    for at, insn in enumerate(made):
        if insn.code == 0x85 and insn.src == 1:
            made[at] = insn._replace(imm=starts[called.index(insn.imm) + 1] - at - 1)
    return tuple(made)
