"""Machine code grouped by the BPF instruction it was made of: what a screen shows side by side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kprobesim.bpf.disasm import disassemble
from kprobesim.bpf.isa import BPF_TAIL_CALL, Insn, Level, Mode
from kprobesim.bpf.jit.image import JitImage, SiteKind
from kprobesim.bpf.jit.loads import PROBE_MEM_CODES
from kprobesim.bpf.jit.program import JitProgram
from kprobesim.image import DecodeError, Instruction, decode_range

__all__ = ["Group", "Symbolizer", "listing", "listing_text"]

Symbolizer = Callable[[int], str]
"""Address to text such as ``bpf_map_lookup_elem+0x0``; text that begins with ``0x`` counts as not found."""

_BYTES_A_LINE = 7


@dataclass(frozen=True, slots=True)
class Group:
    """One BPF instruction and its machine code, or a function's prologue.

    Attributes:
        slot: of the BPF instruction among ``JitProgram.insns``; None for a prologue.
        insn: it, or None for a prologue.
        text: as the kernel prints it, ``(b7) r0 = 0``; for a prologue, ``prologue``.
        offset: of the code, from its function's start.
        address: of the code.
        code: the bytes; none for a jump to the next instruction, or a 64-bit le.
        x86: the instructions in them.
        function: index of the function, 0 for the first.
        epilogue: whether the code is the function's epilogue.
    """

    slot: int | None
    insn: Insn | None
    text: str
    offset: int
    address: int
    code: bytes
    x86: tuple[Instruction | DecodeError, ...]
    function: int
    epilogue: bool


def listing(jited: JitProgram, level: Level = Level.V4, symbolize: Symbolizer | None = None) -> list[Group]:
    """The whole program in order of its slots, each function's prologue before its first instruction.

    Args:
        jited: what jit_insns gave.
        level: which kernel's words the BPF text is in.
        symbolize: names what calls lead to.
    """
    texts = _texts(jited, level)
    return [
        group
        for number, image in enumerate(jited.images)
        for group in _function(image, number, texts, _symbolizer(jited, symbolize))
    ]


def listing_text(jited: JitProgram, level: Level = Level.V4, symbolize: Symbolizer | None = None) -> str:
    """The same as text: each BPF instruction as bpftool prints it, and below it machine code as objdump does."""
    lines = []
    for group in listing(jited, level, symbolize):
        lines.append(group.text if group.slot is None else f"{group.slot:4}: {group.text}")
        for insn in group.x86:
            lines += _x86_lines(insn)
    return "".join(f"{line}\n" for line in lines)


def _function(
    image: JitImage, number: int, texts: dict[int, tuple[Insn, str]], symbolize: Symbolizer
) -> Iterator[Group]:
    def group(slot: int | None, insn: Insn | None, text: str, begin: int, end: int) -> Group:
        code, address = image.code[begin:end], image.address + begin
        x86 = tuple(decode_range(code, address, symbolize))
        ends = begin < end == image.epilogue[1]
        return Group(slot, insn, text, begin, address, code, x86, number, ends)

    yield group(None, None, "prologue", *image.prologue)
    for index in range(len(image.insns)):
        slot = image.start + index
        if slot in texts:
            end = image.addrs[index + 1]
            yield group(slot, *texts[slot], image.addrs[index], end)


def _texts(jited: JitProgram, level: Level) -> dict[int, tuple[Insn, str]]:
    # The kernel, too, prints its own opcodes as those that they were made of.
    shown = [_for_print(insn) for insn in jited.insns]
    return {
        line.slot: (jited.insns[line.slot], f"({line.insn.code:02x}) {line.text}") for line in disassemble(shown, level)
    }


def _for_print(insn: Insn) -> Insn:
    if insn.code == BPF_TAIL_CALL:
        return Insn(0x85, imm=12)
    if insn.code in PROBE_MEM_CODES:
        return insn._replace(code=insn.code & 0x1F | Mode.MEM)
    return insn


def _symbolizer(jited: JitProgram, symbolize: Symbolizer | None) -> Symbolizer:
    functions = {image.address: f"func_{number}" for number, image in enumerate(jited.images)}
    calls = {
        site.target
        for image in jited.images
        for site in image.sites
        if site.kind not in (SiteKind.LOCAL, SiteKind.FUNCTION)
    }

    def name(address: int) -> str:
        if address in calls and symbolize is not None:
            return symbolize(address)
        image = jited.image_at(address)
        if image is None:
            return f"{address:#x}"
        return f"{functions[image.address]}+{address - image.address:#x}"

    return name


def _x86_lines(insn: Instruction | DecodeError) -> list[str]:
    text = insn.text if isinstance(insn, Instruction) else insn.message
    raw = insn.raw
    first = f"{insn.address:x}:\t{raw[:_BYTES_A_LINE].hex(' '):<21}\t{text}"
    rest = [
        f"{insn.address + at:x}:\t{raw[at : at + _BYTES_A_LINE].hex(' ')}"
        for at in range(_BYTES_A_LINE, len(raw), _BYTES_A_LINE)
    ]
    return [first, *rest]
