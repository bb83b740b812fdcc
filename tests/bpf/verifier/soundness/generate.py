"""Random programs that the verifier accepts often, and that lean on what it believes.

The generator keeps a rough idea of what each register holds, so that most of what it writes makes sense; it does not
know bounds. Numbers from the context go through arithmetic and comparisons of all kinds and then become offsets into
map values and the stack: whether such an access is safe is for the verifier to say, and whether the verifier was right
shows when the program runs. R6 holds the context throughout.
"""

from random import Random

from kprobesim.bpf.isa import Insn
from tests.bpf.verifier.soundness.draft import CALLEE_STACK
from tests.bpf.verifier.soundness.statements import (
    ALU,
    CTX_SIZE,
    IMMS,
    JUMPS,
    MAP,
    ORDERS,
    RING,
    SIZE_CODES,
    Statements,
)

__all__ = ["random_program"]


class _Function(Statements):
    """Statements that lean on each other."""

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
                self.put(0x07, base, imm=rng.choice((8, 16, 40)))
                self.put(0x1F, base, reg)
            else:
                self.put(0x0F, reg, base)
                self.kinds[reg], base = "", reg
            if rng.random() < 0.15:
                more = rng.choice([r for r in (7, 8, 9) if r != base])
                self.small(more, label)
                self.put(0x57, more, imm=rng.choice((1, 7, 8)))
                self.put(0x0F, base, more)
                self.kinds[more] = ""
            self.access(base, off, size)
        self.kinds[base] = ""
        self.place(label)
        self.meet(before)
        self.kinds[base] = ""

    def two_operands(self) -> None:
        """Arithmetic on two numbers, and the result as an offset: what is known of it must hold for all of both."""
        rng = self.rng
        label = self.new_label()
        before = self.kinds[:]
        base, room = self.value()
        a, b = rng.sample([r for r in (0, 1, 2, 3, 4, 5, 7, 8, 9) if r != base], 2)
        self.small(a, label)
        self.small(b, label)
        op = rng.choice((*ALU[:-2], 0xC0))
        self.put(op | rng.choice((0x0F, 0x0F, 0x0C)), a, b)
        if rng.random() < 0.3:
            self.put(rng.choice((0x87, 0x84, 0xBF, 0xBC)), a, a)
            made = self.items[-1]
            assert isinstance(made, Insn)
            if made.code in (0x87, 0x84):
                self.items[-1] = made._replace(src=0)
        if rng.random() < 0.4:
            self.put(0x57, a, imm=rng.choice((7, 15, 31, 32, 40, 63)))
        if rng.random() < 0.2:
            self.jump(rng.choice(ORDERS) | 8 | rng.choice((5, 6)), a, b, 0, label)
        if rng.random() < 0.3:
            self.put(rng.choice((0x77, 0x74, 0xC7, 0xC4)), a, imm=rng.randrange(32))
        size = rng.choice((1, 1, 2, 4, 8))
        if rng.random() < 0.7:
            self.jump(rng.choice((0x25, 0x26, 0x65)), a, 0, room - size - rng.choice((0, 0, 1, 8)), label)
        if rng.random() < 0.3:
            self.jump(rng.choice((0xC5, 0xC6)), a, 0, 0, label)
        self.put(0x0F, base, a)
        self.kinds = ["" if i in (a, b, base) else kind for i, kind in enumerate(self.kinds)]
        self.access(base, 0, size)
        self.place(label)
        self.meet(before)
        self.kinds = ["" if i in (a, b, base) else kind for i, kind in enumerate(self.kinds)]

    def copies(self) -> None:
        """A copy is compared, then the other one is the offset: they must be known together, and only while equal."""
        rng = self.rng
        label = self.new_label()
        before = self.kinds[:]
        base, room = self.value()
        a, b = rng.sample([r for r in (0, 1, 2, 3, 4, 5, 7, 8, 9) if r != base], 2)
        size = rng.choice((1, 2, 4, 8))
        self.put(0x79, a, 6 if self.main else 10, 8 * rng.randrange(CTX_SIZE // 8) if self.main else -8)
        by_stack = rng.random() < 0.3
        if by_stack and rng.random() < 0.7:
            # Of a number of which nothing is known the stack keeps nothing.
            self.put(0x57, a, imm=rng.choice((0xFF, 0xFFFF, 63)))
        if by_stack:
            self.put(0x7B, 10, a, -48)
            self.written.pop(-48, None)
        self.put(rng.choice((0xBF, 0xBF, 0xBF, 0xBC)), b, a)
        if rng.random() < 0.4:
            changed = rng.choice((a, b))
            self.put(rng.choice((0x07, 0x04, 0x57, 0x67, 0x0F)), changed, imm=rng.choice((1, 8, 3)))
            made = self.items[-1]
            assert isinstance(made, Insn)
            if made.code == 0x0F:
                self.items[-1] = made._replace(src=changed, imm=0)
        if by_stack and rng.random() < 0.4:
            self.put(rng.choice((0x62, 0x72, 0x6A)), 10, 0, rng.choice((-48, -46, -44)), rng.choice(IMMS))
        self.jump(rng.choice((0x25, 0x25, 0xA5, 0x26, 0x15, 0x55, 0x65, 0xC5)), a, 0, room - size, label)
        if by_stack:
            self.put(0x61 | SIZE_CODES[rng.choice((4, 8, 8))], b, 10, -48)
        self.put(0x0F, base, b)
        self.kinds = ["" if i in (a, b, base) else kind for i, kind in enumerate(self.kinds)]
        self.access(base, 0, size)
        self.place(label)
        self.meet(before)
        self.kinds = ["" if i in (a, b, base) else kind for i, kind in enumerate(self.kinds)]

    def reserve(self) -> None:
        """A record of the ring, which must be given back on all paths."""
        rng = self.rng
        skip = self.new_label()
        size = rng.choice((8, 16, 24))
        self.load64(1, RING, MAP)
        self.put(0xB7, 2, imm=size)
        self.put(0xB7, 3, imm=0)
        self.helper(131)
        self.kinds[0] = ""
        checked = rng.random() < 0.95
        if checked:
            self.jump(0x15, 0, 0, 0, skip)
        if rng.random() < 0.6:
            width = rng.choice((1, 4, 8))
            self.put(0x62 | SIZE_CODES[width], 0, 0, self.off(width, size), 5)
        kept = rng.choice((7, 8, 9)) if rng.random() < 0.2 else 0
        if kept:
            self.put(0xBF, kept, 0)
            self.kinds[kept] = ""
        self.put(0xBF, 1, 0)
        self.put(0xB7, 2, imm=0)
        early = self.new_label()
        leaves = self.main and rng.random() < 0.15
        if leaves:
            self.put(0x79, 3, 6, 8 * rng.randrange(8))
            self.jump(0x55, 3, 0, rng.choice(IMMS), early)
        if rng.random() < 0.95:
            self.helper(rng.choice((132, 133)))
        if kept and rng.random() < 0.2:
            self.put(0x7A, kept, 0, 0, 5)
        if leaves:
            self.place(early)
        self.place(skip)
        self.kinds[:6] = [""] * 6

    def relayed_access(self) -> None:
        """A number whose use one path learns of only from another path, by which it is left out.

        The third path to the first meeting point may be left out only if the second one, which ended at the second
        meeting point, handed on what the first one did with the number behind it.
        """
        rng = self.rng
        base, room = self.value()
        size = rng.choice((1, 2, 4, 8))
        offset = rng.choice([r for r in (7, 8, 9) if r != base])
        bad, good = (rng.choice((0, room - size, room - size, room)) for _ in range(2))
        first, second = self.new_label(), self.new_label()
        self.put(0xB7, offset, imm=bad)
        self.put(0xB7, 4, imm=1)
        self.asked(first)
        self.put(0xB7, offset, imm=good)
        self.asked(first)
        self.put(0xB7, 4, imm=2)
        self.place(first)
        self.jump(0x15, 4, 0, 1, second)
        self.put(0xB7, 5, imm=1)
        self.place(second)
        self.put(0xB7, 5, imm=1)
        self.put(0x0F, base, offset)
        self.kinds = ["" if i in (4, 5, base, offset) else kind for i, kind in enumerate(self.kinds)]
        self.access(base, 0, size)

    def asked(self, label: str) -> None:
        """A jump of which nobody knows the outcome."""
        rng = self.rng
        self.put(0x79, 5, 6 if self.main else 10, 8 * rng.randrange(8) if self.main else -16)
        self.jump(rng.choice(JUMPS) | rng.choice((5, 6)), 5, 0, rng.choice(IMMS), label)

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
        spilled = rng.random() < 0.3
        if spilled:
            self.put(0x7B, 10, offset, -40)
        self.asked(label)
        if masked:
            self.put(0xBF, offset, 4)
        self.narrow(offset, other, masked)
        if spilled:
            self.put(0x7B, 10, offset, -40)
        self.place(label)
        self.kinds = ["" if i in (3, 4, 5, base, offset) else kind for i, kind in enumerate(self.kinds)]
        for _ in range(rng.choice((0, 0, 1, 2))):
            # What is found out behind here must reach the states before it, also over a state that was seen before.
            apart = self.new_label()
            self.asked(apart)
            self.put(0xB7, 5, imm=1)
            self.place(apart)
        if self.callees and rng.random() < 0.5:
            self.call()
        if spilled or rng.random() < 0.4:
            if not spilled:
                self.put(0x7B, 10, offset, -40)
            offset = 3
            self.put(0x79, offset, 10, -40)
        self.put(0x0F, base, offset)
        self.kinds = ["" if i in (3, 4, 5, base, offset) else kind for i, kind in enumerate(self.kinds)]
        self.written.pop(-40, None)
        self.access(base, 0, size)

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
        at = rng.choice((-64, -64, -32, -16))
        if rng.random() < 0.5:
            self.put(0x7A, 10, off=at, imm=rng.choice(IMMS))
        self.put(0x07, base, imm=at)
        self.put(0x0F, base, reg)
        self.kinds[base] = ""
        self.access(base, 0, size)
        self.place(label)
        self.meet(before)
        self.kinds[base] = ""

    def read_into_stack(self) -> None:
        """A helper that fills a buffer of some size; R3 is no address, so it fills it with zeros."""
        rng = self.rng
        label = self.new_label()
        before = self.kinds[:]
        if rng.random() < 0.5:
            self.put(0x7A, 10, off=-8 * rng.randrange(1, 5), imm=rng.choice(IMMS))
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

    def block(self, count: int, depth: int, keep: int = -1) -> None:
        rng = self.rng
        for _ in range(count):
            roll = rng.random()
            if roll < 0.15:
                self.arithmetic()
            elif roll < 0.155:
                self.wild()
            elif roll < 0.17:
                self.reserve()
            elif roll < 0.185:
                self.relayed_access()
            elif roll < 0.22:
                self.copies()
            elif roll < 0.30:
                self.two_operands()
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
    made.put(0xB7, 0, imm=rng.choice(IMMS))
    made.put(0x95)
    return made.insns()


def random_program(rng: Random) -> tuple[Insn, ...]:
    """A program of one to three functions; its maps are meant by index."""
    main = _main(rng, rng.choice((0, 0, 0, 1, 2)), rng.choice((3, 4, 6, 12)))
    called = sorted({insn.imm for insn in main if insn.code == 0x85 and insn.src == 1})
    functions = [main, *(_callee(rng) for _ in called)]
    starts = [sum(map(len, functions[:number])) for number in range(len(functions))]
    made = [insn for function in functions for insn in function]
    for at, insn in enumerate(made):
        if insn.code == 0x85 and insn.src == 1:
            made[at] = insn._replace(imm=starts[called.index(insn.imm) + 1] - at - 1)
    return tuple(made)
