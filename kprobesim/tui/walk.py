"""What the verifier did with a program, step by step, as the verifier panel shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kprobesim.bpf import Assembly, Program
    from kprobesim.bpf.verifier import Walk
    from kprobesim.bpf.verifier.explain import Diagnostic

__all__ = ["WalkView", "refused_view", "walk_view"]

_VISITS: Final = 5_000


@dataclass(frozen=True, slots=True)
class WalkView:
    """A walk.

    Attributes:
        name: of the program.
        walk: every visit of an instruction, on every path, with what was known before and after.
        diagnostic: why the program is refused, or None.
        processed, states: what Linux prints at the end of its log.
        refused: the program was never loaded.
    """

    name: str
    walk: Walk
    diagnostic: Diagnostic | None
    processed: int
    states: int
    refused: bool = False


def refused_view(assembly: Assembly, text: str) -> WalkView:
    """Verify a program once more that was refused, with a record, and with the place in its text.

    Args:
        assembly: the program.
        text: what it was made of, or empty.
    """
    from kprobesim.bpf.verifier import verify_assembly
    from kprobesim.bpf.verifier.explain import explain

    verdict = verify_assembly(assembly)
    told = explain(verdict, text, dict(enumerate(assembly.lines)))
    return WalkView("", verdict.walk(_VISITS), told, verdict.stats.insn_processed, verdict.stats.total_states, True)


def walk_view(program: Program) -> WalkView:
    """Verify a program once more, this time with a record.

    Args:
        program: as it was loaded.
    """
    from kprobesim.bpf.verifier import map_meta_of, verify
    from kprobesim.bpf.verifier.explain import explain

    maps = {slot: map_meta_of(use.map) for slot, use in program.map_uses.items()}
    verdict = verify(program.insns, program.type, maps, gpl_compatible=program.gpl_compatible, static_functions=True)
    stats = verdict.stats
    return WalkView(program.name, verdict.walk(_VISITS), explain(verdict), stats.insn_processed, stats.total_states)
