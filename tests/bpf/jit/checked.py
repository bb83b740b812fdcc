"""Random programs that a verifier would let pass: every access is in bounds, every jump goes forwards.

R9 holds the context throughout. All registers go into R0 at the end, so that a wrong one shows.
"""

from hypothesis import strategies as st

from kprobesim.bpf.isa import Insn, lddw
from kprobesim.bpf.variants import VARIANTS, Form, Variant

CTX_SIZE = 64
STACK = 512
_CALLEE_STACK = 64
_HELPERS = (5, 7, 8, 14, 15)
_IMM = st.one_of(
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.sampled_from([0, 1, -1, 2, 8, 31, 32, 63, 64, 127, 128, -128, -129, -(1 << 31), (1 << 31) - 1]),
)
_IMM64 = st.one_of(
    st.integers(0, (1 << 64) - 1), st.sampled_from([0, 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 1])
)
_WRITABLE = st.integers(0, 8)

_ALU = [v for v in VARIANTS if v.form in (Form.ALU_IMM, Form.ALU_REG, Form.NEG, Form.END, Form.MOVSX)]
_ACCESS = [v for v in VARIANTS if v.form in (Form.LDX, Form.ST, Form.STX, Form.ATOMIC)]
_JUMPS = [v for v in VARIANTS if v.form in (Form.JUMP_IMM, Form.JUMP_REG, Form.JA, Form.GOTOL)]

Item = tuple[Insn, ...]


@st.composite
def _filled(draw: st.DrawFn, variant: Variant, highest: int) -> Insn:
    dst = draw(_WRITABLE) if variant.dst is None else variant.dst
    src = draw(st.integers(0, highest)) if variant.src is None else variant.src
    imm = draw(_IMM) if variant.imm is None else variant.imm
    return Insn(variant.code, dst, src, variant.off or 0, imm)


@st.composite
def _access(draw: st.DrawFn, depth: int) -> Insn:
    variant = draw(st.sampled_from(_ACCESS))
    insn = draw(_filled(variant, 8))
    base, off = (10, draw(st.integers(-depth, -8))) if draw(st.booleans()) else (9, draw(st.integers(0, CTX_SIZE - 8)))
    return insn._replace(src=base, off=off) if variant.form is Form.LDX else insn._replace(dst=base, off=off)


@st.composite
def _items(draw: st.DrawFn, longest: int, depth: int, highest: int, callees: int) -> list[Item]:
    items: list[Item] = []
    for _ in range(draw(st.integers(1, longest))):
        kind = draw(st.sampled_from("aaaammmjjlhc"))
        if kind == "m":
            items.append((draw(_access(depth)),))
        elif kind == "j":
            items.append((draw(_filled(draw(st.sampled_from(_JUMPS)), highest)),))
        elif kind == "l":
            items.append(lddw(draw(_WRITABLE), draw(_IMM64)))
        elif kind == "h":
            items.append((Insn(0x85, imm=draw(st.sampled_from(_HELPERS))),))
        elif kind == "c" and callees:
            # what R1 to R5 hold after a local call differs from one way of running to the other
            fresh = tuple(Insn(0xB7, register, imm=register) for register in range(1, 6))
            items.append((Insn(0x85, src=1, imm=draw(st.integers(1, callees))), *fresh))
        else:
            items.append((draw(_filled(draw(st.sampled_from(_ALU)), highest)),))
    return items


def _is_jump(insn: Insn) -> bool:
    return insn.code & 7 in (5, 6) and insn.code & 0xF0 not in (0x80, 0x90)


@st.composite
def _function(draw: st.DrawFn, first: Item, longest: int, depth: int, highest: int, callees: int) -> list[Insn]:
    items = draw(_items(longest, depth, highest, callees))
    places = [0]
    for item in items:
        places.append(places[-1] + len(item))
    made = list(first)
    for number, item in enumerate(items):
        insn = item[0]
        if _is_jump(insn):
            distance = places[draw(st.integers(number + 1, len(items)))] - places[number] - 1
            moved = insn._replace(imm=distance, off=0) if insn.code == 0x06 else insn._replace(off=distance)
            made.append(moved)
        else:
            made += item
    for register in range(1, 9):
        made += [Insn(0x27, 0, imm=31), Insn(0x0F, 0, register)]
    return [*made, Insn(0x95)]


@st.composite
def checked_programs(draw: st.DrawFn, longest: int = 40) -> tuple[Insn, ...]:
    """A program of one to three functions. R1 is to be the context, of CTX_SIZE bytes."""
    callees = draw(st.integers(0, 2))
    keep_context = (Insn(0xBF, 9, 1),)
    cleared = tuple(Insn(0x7A, 10, off=-8 * (n + 1)) for n in range(_CALLEE_STACK // 8))
    functions = [draw(_function(keep_context, longest, STACK, 10, callees))]
    functions += [draw(_function(cleared, longest // 2, _CALLEE_STACK, 8, 0)) for _ in range(callees)]
    starts = [sum(map(len, functions[:number])) for number in range(len(functions))]
    made = [insn for function in functions for insn in function]
    called = False
    for at, insn in enumerate(made):
        if insn.code == 0x85 and insn.src == 1:
            made[at] = insn._replace(imm=starts[insn.imm] - at - 1)
            called = True
    return tuple(made if called else functions[0])
