"""Random instructions and programs for property tests."""

from hypothesis import strategies as st

from kprobesim.bpf.isa import Insn, Level
from kprobesim.bpf.variants import VARIANTS, Form, Variant

S16 = st.integers(-(1 << 15), (1 << 15) - 1)
S32 = st.one_of(st.integers(-(1 << 31), (1 << 31) - 1), st.sampled_from([0, 1, -1, 31, 63, -(1 << 31), (1 << 31) - 1]))
REG = st.integers(0, 10)


def _filled(variant: Variant) -> st.SearchStrategy[Insn]:
    imm = st.integers(0, 209) if variant.form is Form.CALL else S32

    def field(fixed: int | None, free: st.SearchStrategy[int]) -> st.SearchStrategy[int]:
        return free if fixed is None else st.just(fixed)

    return st.builds(
        Insn,
        st.just(variant.code),
        field(variant.dst, REG),
        field(variant.src, REG),
        field(variant.off, S16),
        field(variant.imm, imm),
    )


def insns(level: Level = Level.V4) -> st.SearchStrategy[Insn]:
    """Any valid instruction but an LDDW, which has two slots."""
    rows = [v for v in VARIANTS if v.level <= level and v.form is not Form.LDDW]
    return st.sampled_from(rows).flatmap(_filled)


_PLAIN = [v for v in VARIANTS if v.form in (Form.ALU_IMM, Form.ALU_REG, Form.NEG, Form.END, Form.MOVSX)]
_ACCESS = [v for v in VARIANTS if v.form in (Form.LDX, Form.ST, Form.STX, Form.ATOMIC)]
_JUMPS = [v for v in VARIANTS if v.form in (Form.JUMP_IMM, Form.JUMP_REG)]
_LOW = st.integers(0, 9)


@st.composite
def programs(draw: st.DrawFn, longest: int = 40) -> tuple[Insn, ...]:
    """Valid programs: arithmetic, stack and context accesses, jumps both ways, helper calls, an exit at the end."""
    length = draw(st.integers(1, longest))
    made: list[Insn] = []
    for at in range(length):
        kind = draw(st.sampled_from("aaaaamm jjlc"))
        if kind == "j":
            row = draw(st.sampled_from(_JUMPS))
            off = draw(st.integers(0, length)) - at - 1
            insn = draw(_filled(row))._replace(dst=draw(_LOW), off=off)
            made.append(insn._replace(src=draw(_LOW)) if row.form is Form.JUMP_REG else insn)
        elif kind == "m":
            row = draw(st.sampled_from(_ACCESS))
            insn = draw(_filled(row))
            off = draw(st.integers(-512, -8))
            if row.form is Form.LDX:
                made.append(insn._replace(dst=draw(_LOW), src=10, off=off))
            else:
                made.append(insn._replace(dst=10, off=off, src=draw(_LOW) if row.src is None else 0))
        elif kind == "l":
            # through a register that may or may not hold an address
            row = draw(st.sampled_from(_ACCESS))
            insn = draw(_filled(row))._replace(off=draw(st.integers(-64, 64)))
            insn = insn._replace(dst=draw(_LOW))
            made.append(insn if row.src is not None else insn._replace(src=draw(_LOW)))
        elif kind == "c":
            made.append(Insn(0x85, imm=draw(st.sampled_from([5, 7, 8, 14, 15]))))
        else:
            insn = draw(_filled(draw(st.sampled_from(_PLAIN))))
            insn = insn._replace(dst=draw(_LOW))
            made.append(insn)
    return (*made, Insn(0x95))


@st.composite
def called_programs(draw: st.DrawFn) -> tuple[Insn, ...]:
    """Several of the above as functions of one program; some of their helper calls become calls of each other."""
    parts = draw(st.lists(programs(longest=14), min_size=2, max_size=4))
    starts = [sum(len(part) for part in parts[:number]) for number in range(len(parts))]
    made = [insn for part in parts for insn in part]
    for at, insn in enumerate(made):
        if insn.code == 0x85 and draw(st.booleans()):
            made[at] = Insn(0x85, src=1, imm=draw(st.sampled_from(starts)) - at - 1)
    return tuple(made)
