"""What the verifier did with a program, step by step, as the verifier panel shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kprobesim.bpf import Program
from kprobesim.bpf.verifier import Walk, map_meta_of, verify
from kprobesim.bpf.verifier.explain import Diagnostic, explain

__all__ = ["WalkView", "walk_view"]

_VISITS: Final = 5_000


@dataclass(frozen=True, slots=True)
class WalkView:
    """A walk.

    Attributes:
        name: of the program.
        walk: every visit of an instruction, on every path, with what was known before and after.
        diagnostic: why the program is refused, or None.
        processed, states: what Linux prints at the end of its log.
    """

    name: str
    walk: Walk
    diagnostic: Diagnostic | None
    processed: int
    states: int


def walk_view(program: Program) -> WalkView:
    """Verify a program once more, this time with a record.

    Args:
        program: as it was loaded.
    """
    maps = {slot: map_meta_of(use.map) for slot, use in program.map_uses.items()}
    verdict = verify(program.insns, program.type, maps, gpl_compatible=program.gpl_compatible, static_functions=True)
    stats = verdict.stats
    return WalkView(program.name, verdict.walk(_VISITS), explain(verdict), stats.insn_processed, stats.total_states)
