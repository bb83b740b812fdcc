"""The language of the kernel's bpf_asm, and instructions as ``tcpdump -d`` prints them.

::

            ldh [12]
            jeq #0x800, next, drop
    next:   ldxb 4*([14]&0xf)
            ld #vlan_tci
            ret #-1
    drop:   ret #0

Follows Linux tools/bpf/bpf_exp.y and libpcap's bpf_image. Nothing is checked here but the text.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches

from kprobesim.bpf.classic.isa import BPF_MAXINSNS, MASK32, SKF_AD_OFF, Ancillary, Code, SockFilter
from kprobesim.bpf.classic.lexer import Token, Tokens

__all__ = ["EXTENSIONS", "MNEMONICS", "assemble_filter", "parse_image"]

EXTENSIONS = {
    "proto": Ancillary.PROTOCOL,
    "type": Ancillary.PKTTYPE,
    "poff": Ancillary.PAY_OFFSET,
    "ifidx": Ancillary.IFINDEX,
    "nla": Ancillary.NLATTR,
    "nlan": Ancillary.NLATTR_NEST,
    "mark": Ancillary.MARK,
    "queue": Ancillary.QUEUE,
    "hatype": Ancillary.HATYPE,
    "rxhash": Ancillary.RXHASH,
    "cpu": Ancillary.CPU,
    "vlan_tci": Ancillary.VLAN_TAG,
    "vlan_avail": Ancillary.VLAN_TAG_PRESENT,
    "vlan_pr": Ancillary.VLAN_TAG_PRESENT,
    "vlan_tpid": Ancillary.VLAN_TPID,
    "rand": Ancillary.RANDOM,
}
"""The assembler's words for ancillary loads; bpf_asm has none for XOR_X, which is ``[-4056]``."""

_IMAGE_EXTENSIONS = EXTENSIONS | {
    "vlanp": Ancillary.VLAN_TAG_PRESENT,
    "random": Ancillary.RANDOM,
    "xor_x": Ancillary.ALU_XOR_X,
}
"""libpcap's words."""

_LOADS = {
    "ld": {
        "imm": Code.LD_IMM,
        "len": Code.LD_W_LEN,
        "mem": Code.LD_MEM,
        "abs": Code.LD_W_ABS,
        "ext": Code.LD_W_ABS,
        "ind": Code.LD_W_IND,
    },
    "ldh": {"abs": Code.LD_H_ABS, "ext": Code.LD_H_ABS, "ind": Code.LD_H_IND},
    "ldb": {"abs": Code.LD_B_ABS, "ext": Code.LD_B_ABS, "ind": Code.LD_B_IND},
    "ldi": {"imm": Code.LD_IMM, "bare": Code.LD_IMM},
    "ldx": {"imm": Code.LDX_IMM, "len": Code.LDX_W_LEN, "mem": Code.LDX_MEM, "msh": Code.LDX_B_MSH},
    "ldxi": {"imm": Code.LDX_IMM, "bare": Code.LDX_IMM},
    "ldxb": {"msh": Code.LDX_B_MSH},
    "st": {"mem": Code.ST},
    "stx": {"mem": Code.STX},
}
_ALU = {
    name: {"imm": Code[f"{name.upper()}_K"], "x": Code[f"{name.upper()}_X"]}
    for name in ("add", "sub", "mul", "div", "mod", "and", "or", "xor", "lsh", "rsh")
}
_LONE = {"neg": {"": Code.NEG}, "tax": {"": Code.TAX}, "txa": {"": Code.TXA}}
_TESTS = {
    name: {"imm": Code[f"{name.upper()}_K"], "x": Code[f"{name.upper()}_X"]} for name in ("jeq", "jgt", "jge", "jset")
}
_INVERTED = {
    "jneq": _TESTS["jeq"],
    "jne": _TESTS["jeq"],
    "jlt": _TESTS["jge"],
    "jle": _TESTS["jgt"],
}
"""These have one target, for the test they are named after failing."""
_RET = {"ret": {"imm": Code.RET_K, "a": Code.RET_A, "x": Code.RET_X}}

MNEMONICS: dict[str, dict[str, Code]] = (
    _LOADS | _ALU | _LONE | _TESTS | _INVERTED | _RET | {"ja": {"": Code.JA}, "jmp": {"": Code.JA}}
)
"""Mnemonic -> kind of operand -> opcode."""

_LONGEST = 8

_OPERANDS = {
    "imm": "#NUMBER",
    "bare": "a number",
    "len": "#len",
    "mem": "M[NUMBER]",
    "abs": "[NUMBER]",
    "ext": "#proto and its like",
    "ind": "[x + NUMBER]",
    "msh": "4*([NUMBER]&0xf)",
    "x": "x",
    "a": "a",
}


@dataclass(slots=True)
class _Jump:
    """A jump whose targets are not numbers yet: target's token or None -> field of the instruction."""

    index: int
    targets: list[tuple[str, Token]]


@dataclass(slots=True)
class _Program:
    insns: list[SockFilter] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    jumps: list[_Jump] = field(default_factory=list)


def _operand(tokens: Tokens, words: dict[str, Ancillary]) -> tuple[str, int]:
    """The operand that stands here, by its kind, and its number."""
    token = tokens.peek
    if token.kind == "num" and tokens.ahead(1).text == "*":
        return "msh", _header_length(tokens)
    if token.kind == "num":
        return "bare", tokens.number()
    if tokens.take("%"):
        if tokens.peek.text not in ("x", "a"):
            raise tokens.misfit("x or a")
        return tokens.next().text, 0
    if token.text in ("x", "a"):
        return tokens.next().text, 0
    if tokens.take("m"):
        tokens.need("[")
        number = tokens.number()
        tokens.need("]")
        return "mem", number
    if tokens.take("["):
        return _place(tokens, words)
    hashed = tokens.take("#")
    if tokens.peek.text in ("len", "pktlen"):
        tokens.next()
        return "len", 0
    if tokens.peek.text in words:
        return "ext", (SKF_AD_OFF + words[tokens.next().text]) & MASK32
    if hashed:
        return "imm", tokens.number()
    return "", 0


def _place(tokens: Tokens, words: dict[str, Ancillary]) -> tuple[str, int]:
    if tokens.peek.text in ("x", "%"):
        tokens.take("%")
        tokens.need("x")
        number = tokens.number() if tokens.peek.text == "+" else 0
        tokens.need("]")
        return "ind", number
    if tokens.peek.kind == "word" and tokens.peek.text in words:
        number = (SKF_AD_OFF + words[tokens.next().text]) & MASK32
        tokens.need("]")
        return "ext", number
    number = tokens.number()
    tokens.need("]")
    return "abs", number


def _header_length(tokens: Tokens) -> int:
    first = tokens.peek
    factor = tokens.number()
    tokens.need("*", "(", "[")
    offset = tokens.number()
    tokens.need("]", "&")
    mask = tokens.number()
    tokens.need(")")
    if factor != 4 or mask != 0xF:
        raise tokens.error_at(first.at, "this load is 4*([NUMBER]&0xf) and no other")
    return offset


def _opcode(tokens: Tokens, name: Token, kinds: dict[str, Code], words: dict[str, Ancillary]) -> SockFilter:
    at = tokens.peek.at
    kind, number = _operand(tokens, words)
    if kind not in kinds:
        expected = " or ".join(_OPERANDS[known] for known in kinds if known)
        if not expected:
            raise tokens.error_at(at, f"{name.text} takes no operand")
        raise tokens.error_at(at, f"this is no operand of {name.text}", expected)
    return SockFilter(kinds[kind], 0, 0, number)


def _mnemonic(tokens: Tokens) -> tuple[Token, dict[str, Code]]:
    token = tokens.next()
    kinds = MNEMONICS.get(token.text)
    if kinds is None:
        near = get_close_matches(token.text[:_LONGEST], MNEMONICS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else ""
        raise tokens.error_at(token.at, f"there is no instruction {token.shown}", hint=hint)
    return token, kinds


def _target(tokens: Tokens) -> Token:
    if tokens.peek.kind not in ("word", "num"):
        raise tokens.misfit("a label")
    return tokens.next()


def _statement(tokens: Tokens, program: _Program) -> None:
    if tokens.peek.kind == "word" and tokens.ahead(1).text == ":":
        label = tokens.next()
        tokens.need(":")
        if label.written in program.labels:
            raise tokens.error_at(label.at, f"there is a label {label.shown} already")
        program.labels[label.written] = len(program.insns)
        if tokens.peek.kind == "end":
            raise tokens.misfit("an instruction")
    name, kinds = _mnemonic(tokens)
    index = len(program.insns)
    if index >= BPF_MAXINSNS:
        raise tokens.error_at(name.at, f"a filter has at most {BPF_MAXINSNS} instructions")
    if kinds == MNEMONICS["ja"]:
        program.insns.append(SockFilter(Code.JA))
        program.jumps.append(_Jump(index, [("k", _target(tokens))]))
        return
    # Behind `neg` and its like a word is the next instruction or its label.
    insn = SockFilter(kinds[""]) if "" in kinds else _opcode(tokens, name, kinds, EXTENSIONS)
    program.insns.append(insn)
    if name.text in _INVERTED or name.text in _TESTS:
        tokens.need(",")
        targets = [("jf" if name.text in _INVERTED else "jt", _target(tokens))]
        if name.text in _TESTS and tokens.take(","):
            targets.append(("jf", _target(tokens)))
        program.jumps.append(_Jump(index, targets))


def _aim(tokens: Tokens, program: _Program) -> None:
    for jump in program.jumps:
        insn = program.insns[jump.index]
        for name, token in jump.targets:
            place = int(token.text, 0) if token.kind == "num" else program.labels.get(token.written)
            if place is None:
                raise tokens.error_at(token.at, f"there is no label {token.shown}")
            distance = place - jump.index - 1
            if name == "k":
                insn = insn._replace(k=distance & MASK32)
            elif not 0 <= distance <= 0xFF:
                raise tokens.error_at(
                    token.at,
                    f"instruction {jump.index} cannot jump to {place}",
                    hint="A conditional jump goes forward, over at most 255 instructions; ja goes farther.",
                )
            else:
                insn = insn._replace(**{name: distance})
        program.insns[jump.index] = insn


def assemble_filter(text: str) -> tuple[SockFilter, ...]:
    """The instructions of a filter in the kernel's assembly language.

    Raises:
        AsmError: text that makes no sense; a filter of more than BPF_MAXINSNS instructions.
    """
    tokens = Tokens(text)
    program = _Program()
    while tokens.peek.kind != "end":
        _statement(tokens, program)
    _aim(tokens, program)
    return tuple(program.insns)


def parse_image(text: str) -> tuple[SockFilter, ...]:
    """The instructions of a filter as ``tcpdump -d`` prints it: ``(001) jeq      #0x800           jt 2	jf 5``.

    Raises:
        AsmError: text that makes no sense.
    """
    tokens = Tokens(text)
    insns: list[SockFilter] = []
    while tokens.peek.kind != "end":
        if len(insns) >= BPF_MAXINSNS:
            raise tokens.error(f"a filter has at most {BPF_MAXINSNS} instructions")
        tokens.need("(")
        first = tokens.peek
        if first.kind != "num" or not first.text.isdigit() or int(first.text) != len(insns):
            raise tokens.misfit(f"the number {len(insns):03d}")
        tokens.next()
        tokens.need(")")
        insns.append(_image(tokens, len(insns)))
    return tuple(insns)


def _image(tokens: Tokens, index: int) -> SockFilter:
    if tokens.take("unimp"):
        code = tokens.number()
        if code > 0xFFFF:
            raise tokens.error("an opcode has 16 bits")
        return SockFilter(code)
    name, kinds = _mnemonic(tokens)
    if kinds == MNEMONICS["ja"]:
        return SockFilter(Code.JA, k=tokens.number() - index - 1 & MASK32)
    if name.text == "ret" and tokens.peek.text in ("(", ""):
        return SockFilter(Code.RET_A)
    insn = SockFilter(kinds[""]) if "" in kinds else _opcode(tokens, name, kinds, _IMAGE_EXTENSIONS)
    if name.text not in _TESTS:
        return insn

    def arm(word: str) -> int:
        tokens.need(word)
        at = tokens.peek.at
        distance = tokens.number() - index - 1
        if not 0 <= distance <= 0xFF:
            raise tokens.error_at(at, "a conditional jump goes forward, over at most 255 instructions")
        return distance

    return insn._replace(jt=arm("jt"), jf=arm("jf"))
