"""The forms in which filters travel: read any of them, print each.

===========  ==============================================================================
``d``        ``tcpdump -d``: ``(000) ldh      [12]``
``dd``       ``tcpdump -dd``: ``{ 0x28, 0, 0, 0x0000000c },``
``ddd``      ``tcpdump -ddd``: a line with the number of instructions, then four numbers a line
``c``        ``bpf_asm -c``: ``{ 0x28,  0,  0, 0x0000000c },``
``blob``     ``bpf_asm``: ``4,40 0 0 12,21 0 1 2048,6 0 0 262144,6 0 0 0,``, which iptables and tc take
``asm``      the source that bpf_asm reads
``hex``      struct sock_filter as it lies in memory, in hex
===========  ==============================================================================
"""

import re
from collections.abc import Callable, Sequence

from kprobesim.bpf.classic.asm import assemble_filter, parse_image
from kprobesim.bpf.classic.disasm import asm_listing, image_listing
from kprobesim.bpf.classic.isa import SockFilter, decode_filter, encode_filter
from kprobesim.errors import BadInput

__all__ = ["FORMS", "MAX_TEXT", "format_filter", "read_filter"]

MAX_TEXT = 1 << 20
"""Longest text of a filter, characters."""

_U16_MAX = 0xFFFF
_LIMITS = (0xFFFF, 0xFF, 0xFF, 0xFFFFFFFF)
_NUMBER = r"(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})"
# Possessive where two repetitions meet: blanks without end must not be tried in every possible way.
_C_RECORD = re.compile(
    rf"\s*+\{{\s*+{_NUMBER}\s*+,\s*+{_NUMBER}\s*+,\s*+{_NUMBER}\s*+,\s*+{_NUMBER}\s*+,?+\s*+\}}\s*+,?+\s*+"
)
_COUNTED = re.compile(r"([0-9]{1,10})[^\S\n]*+[,\n]\s*+[0-9]++ ++[0-9]++ ++[0-9]++ ++[0-9]++[^\S\n]*+(?:[,\n]|$)")
_HEX = re.compile(r"[0-9a-fA-F\s]+")


def format_filter(insns: Sequence[SockFilter], form: str) -> str:
    """The filter in one of FORMS, ending with a newline."""
    return FORMS[form](insns)


def _dd(insns: Sequence[SockFilter]) -> str:
    return "".join(f"{{ {code:#x}, {jt}, {jf}, {k:#010x} }},\n" for code, jt, jf, k in insns)


def _c(insns: Sequence[SockFilter]) -> str:
    # C's %#x writes 0 without its prefix.
    return "".join(f"{{ {_sharp(code, 4)}, {jt:2}, {jf:2}, {_sharp(k, 10)} }},\n" for code, jt, jf, k in insns)


def _sharp(value: int, width: int) -> str:
    """What C prints for ``%#0{width}x``."""
    return f"{value:#0{width}x}" if value else "0" * width


def _ddd(insns: Sequence[SockFilter]) -> str:
    return f"{len(insns)}\n" + "".join(f"{code} {jt} {jf} {k}\n" for code, jt, jf, k in insns)


def _blob(insns: Sequence[SockFilter]) -> str:
    return f"{len(insns)}," + "".join(f"{code} {jt} {jf} {k}," for code, jt, jf, k in insns) + "\n"


def _hex(insns: Sequence[SockFilter]) -> str:
    program = encode_filter(insns)
    return "".join(f"{program[at : at + 8].hex(' ')}\n" for at in range(0, len(program), 8))


FORMS: dict[str, Callable[[Sequence[SockFilter]], str]] = {
    "d": image_listing,
    "dd": _dd,
    "ddd": _ddd,
    "c": _c,
    "blob": _blob,
    "asm": asm_listing,
    "hex": _hex,
}
"""Name of a form -> its printer."""


def read_filter(text: str) -> tuple[SockFilter, ...]:
    """The instructions of a filter in any form; they are not checked.

    Raises:
        BadInput: text that is none of the forms; AsmError where it looks like assembly but makes no sense.
    """
    if len(text) > MAX_TEXT:
        raise BadInput(f"The filter's text is longer than {MAX_TEXT:,} characters.")
    plain = text.strip()
    if not plain:
        raise BadInput(
            "There is no filter in the input.", hint="Give bpf_asm source, or what tcpdump -d, -dd or -ddd prints."
        )
    if re.match(r"\(\s*[0-9]+\s*\)", plain):
        return parse_image(text)
    records = _without_comments(plain)
    if records.startswith("{"):
        return _read_c(records)
    if _COUNTED.match(plain):
        return _read_counted(plain)
    digits = "".join(plain.split())
    if _HEX.fullmatch(plain) and len(digits) % 16 == 0:
        return decode_filter(bytes.fromhex(digits))
    return assemble_filter(text)


def _without_comments(text: str) -> str:
    """The text without C comments, blanks at its ends removed; one that is never closed stays."""
    kept = []
    at = 0
    while (start := text.find("/*", at)) >= 0 and (end := text.find("*/", start + 2)) >= 0:
        kept.append(text[at:start])
        at = end + 2
    return " ".join([*kept, text[at:]]).strip()


def _record(numbers: Sequence[int], index: int) -> SockFilter:
    for number, limit, name in zip(numbers, _LIMITS, ("code", "jt", "jf", "k"), strict=True):
        if number > limit:
            raise BadInput(f"Instruction {index}: {name} is {number:#x}, but {limit:#x} is the largest.")
    return SockFilter(*numbers)


def _read_c(text: str) -> tuple[SockFilter, ...]:
    insns: list[SockFilter] = []
    at = 0
    while at < len(text):
        match = _C_RECORD.match(text, at)
        if match is None:
            raise BadInput(f"Instruction {len(insns)} is not {{ code, jt, jf, k }}: {text[at : at + 40].strip()!r}.")
        insns.append(_record([int(number, 0) for number in _c_numbers(match)], len(insns)))
        _check_count(len(insns))
        at = match.end()
    return tuple(insns)


def _c_numbers(match: re.Match[str]) -> list[str]:
    # 0x0 prints as 0000 where C formats it; Python's int(_, 0) takes no leading zeros.
    return [number if number[:2] in ("0x", "0X") else number.lstrip("0") or "0" for number in match.groups()]


def _read_counted(text: str) -> tuple[SockFilter, ...]:
    parts = [part.split() for part in re.split(r"[,\n]", text)]
    records = [part for part in parts if part]
    count = int(records[0][0])
    _check_count(count)
    if len(records) - 1 != count:
        raise BadInput(f"The first number says {count} instructions, but {len(records) - 1} follow.")
    insns = []
    for index, record in enumerate(records[1:]):
        if len(record) != 4 or not all(word.isdecimal() and word.isascii() and len(word) <= 10 for word in record):
            raise BadInput(f"Instruction {index} is not four numbers: {' '.join(record)[:40]!r}.")
        insns.append(_record([int(word) for word in record], index))
    return tuple(insns)


def _check_count(count: int) -> None:
    if count > _U16_MAX:
        raise BadInput(f"A filter of more than {_U16_MAX:,} instructions cannot even be handed to the kernel.")
