"""A function of a random program in the making: what is written so far, and a rough idea of the registers."""

from random import Random

from kprobesim.bpf.isa import Insn, lddw

__all__ = ["CALLEE_STACK", "Draft"]

CALLEE_STACK = 64


class Draft:
    """Items are instructions, or jumps to labels that are placed later.

    Args:
        rng: what decides.
        main: whether it is the program's first function, which has the context and the whole stack.
        callees: how many functions it may call.

    Attributes:
        kinds: per register r0 to r9: "s" a number, "c" the context, "v" a map's value, "n" a loop's counter, "" for
            anything else.
        written: what was spilled, by offset from R10.
    """

    def __init__(self, rng: Random, main: bool, callees: int) -> None:
        self.rng = rng
        self.main = main
        self.callees = callees
        self.items: list[Insn | tuple[Insn, str]] = []
        self.places: dict[str, int] = {}
        self.kinds = ["" for _ in range(10)]
        self.labels = 0
        self.depth = 512 if main else CALLEE_STACK
        self.written: dict[int, str] = {}

    # Writing

    def put(self, code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> None:
        if imm > 0x7FFFFFFF:
            imm -= 1 << 32
        self.items.append(Insn(code, dst, src, off, imm))

    def load64(self, dst: int, value: int, src: int = 0) -> None:
        self.items += lddw(dst, value, src)

    def jump(self, code: int, dst: int, src: int, imm: int, label: str) -> None:
        self.items.append((Insn(code, dst, src, 0, imm), label))

    def new_label(self) -> str:
        self.labels += 1
        return f"L{self.labels}"

    def place(self, label: str) -> None:
        self.places[label] = len(self.items)

    def insns(self) -> list[Insn]:
        made = []
        for at, item in enumerate(self.items):
            made.append(item if isinstance(item, Insn) else item[0]._replace(off=self.places[item[1]] - at - 1))
        return made

    # Choosing

    def pick(self, kind: str) -> int | None:
        found = [i for i in range(10) if self.kinds[i] == kind]
        return self.rng.choice(found) if found else None

    def free(self) -> int:
        return self.rng.choice((0, 1, 2, 3, 4, 5, 7, 8, 9))

    def off(self, size: int, limit: int) -> int:
        """An offset at which ``size`` bytes fit below ``limit``; now and then one at which they do not."""
        if self.rng.random() < 0.04:
            return self.rng.choice((limit, limit - size + 1, -1, -size, limit - 1))
        return self.rng.randrange(0, limit - size + 1)

    def meet(self, before: list[str]) -> None:
        """Two paths come together: what they disagree on is not known."""
        self.kinds = [a if a == b else "" for a, b in zip(before, self.kinds, strict=True)]
