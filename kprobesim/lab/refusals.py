"""Why a classic program was refused: what `kprobesim.bpf.classic` explains, for narration in any language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["REASONS", "reason_of"]

REASONS: Final[Mapping[str, re.Pattern[str]]] = {
    sort: re.compile(rf"(?:Instruction \d+: )?{words}")
    for sort, words in {
        "length": r"A filter has 1 to (?P<most>\d+) instructions, this one has (?P<count>\d+)\.",
        "opcode": r"There is no opcode (?P<opcode>0x[0-9a-f]+)\.",
        "division": r"It divides by the constant 0\.",
        "shift": r"It shifts 32 bits by (?P<count>\d+)\.",
        "no_word": r"M\[\] has (?P<most>\d+) words, there is no M\[(?P<word>\d+)\]\.",
        "jump": r"It jumps over (?P<count>\d+) instructions, but only (?P<following>\d+) follow\.",
        "ancillary": r"There is no ancillary load at SKF_AD_OFF\+(?P<place>\d+)\.",
        "last": r"The last one must be a return of a constant or of A\.",
        "unwritten": r"M\[(?P<word>\d+)\] may be read before it was written\.",
        "too_far": r"As eBPF its jump would be longer than 16 bits can say\.",
        "no_data": r"seccomp_data has (?P<most>\d+) bytes in words of 4, none at (?P<place>\d+)\.",
        "no_seccomp": r"seccomp has no opcode (?P<opcode>0x[0-9a-f]+)\.",
    }.items()
}
"""By sort, which is the name of its sentence in the narration; the groups are what that names."""


def reason_of(told: str) -> tuple[str, dict[str, str]]:
    """The sort of an explanation, and what it names; an empty sort for one that nobody knows.

    Args:
        told: the field ``reason`` of a ``filter.refuse``.
    """
    for sort, pattern in REASONS.items():
        found = pattern.fullmatch(told)
        if found is not None:
            return sort, found.groupdict()
    return "", {}
