"""``dump xlated ... visual``: the control flow graph in the language of Graphviz. As bpftool's cfg.c draws it."""

from __future__ import annotations

from kprobesim.bpf.check import jump_target
from kprobesim.bpf.isa import is_lddw
from kprobesim.tracing.bpftool.translated import Translated

__all__ = ["dot_graph"]

_EXIT = 0x95
_JA = 0x05
_ESCAPED = '{}<>|"'
_EDGE = "weight=10, constraint=true"


def dot_graph(translated: Translated) -> str:
    """The graph's text: a cluster for each function, a record for each basic block."""
    starts = sorted({0, *translated.functions})
    parts = ['digraph "DOT graph for eBPF program" {\n']
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(translated.insns)], strict=True)):
        parts += _function(translated, number, start, end)
    return "".join([*parts, "}\n"])


def _slots(translated: Translated, start: int, end: int) -> list[int]:
    found, slot = [], start
    while slot < end:
        found.append(slot)
        slot += 2 if is_lddw(translated.insns[slot]) else 1
    return found


def _function(translated: Translated, number: int, start: int, end: int) -> list[str]:
    insns = translated.insns
    slots = _slots(translated, start, end)
    heads = {start}
    for position, slot in enumerate(slots):
        target = jump_target(insns, slot)
        if target is not None:
            heads.add(target)
        if (target is not None or insns[slot].code == _EXIT) and position + 1 < len(slots):
            heads.add(slots[position + 1])
    # Block 0 is the entry, block 1 the exit, the others follow in order.
    blocks = {head: index for index, head in enumerate(sorted(heads), 2)}
    node = f"fn_{number}_bb_"
    lines = [
        f'subgraph "cluster_{number}" {{',
        '\tstyle="dashed";',
        '\tcolor="black";',
        f'\tlabel="func_{number} ()";',
        f'\t{node}0 [shape=Mdiamond,style=filled,label="ENTRY"];',
        "",
    ]
    edges = [_edge(node, 0, 2)]
    current: list[int] = []
    for position, slot in enumerate(slots):
        current.append(slot)
        following = slots[position + 1] if position + 1 < len(slots) else None
        if following is not None and following not in blocks:
            continue
        index = blocks[current[0]]
        body = " | ".join(f"{one:4d}: {_escape(translated.text(one))}\\l\\\n" for one in current)
        lines += [f'\t{node}{index} [shape=record,style=filled,label="{{{body}}}"];', ""]
        edges += [_edge(node, index, to) for to in _successors(translated, slot, following, blocks)]
        current = []
    lines += [f'\t{node}1 [shape=Mdiamond,style=filled,label="EXIT"];', "", *edges]
    lines += [f'\t{node}0:s -> {node}1:n [style="invis", constraint=true];', "}"]
    return [f"{line}\n" for line in lines]


def _successors(translated: Translated, slot: int, following: int | None, blocks: dict[int, int]) -> list[int]:
    insn = translated.insns[slot]
    if insn.code == _EXIT:
        return [1]
    target = jump_target(translated.insns, slot)
    ends = [] if following is None or insn.code == _JA else [blocks[following]]
    return [*ends, *([blocks[target]] if target is not None else [])]


def _edge(node: str, source: int, target: int) -> str:
    return f'\t{node}{source}:s -> {node}{target}:n [style="solid,bold", color=black, {_EDGE}];'


def _escape(text: str) -> str:
    return "".join(f"\\{letter}" if letter in _ESCAPED else letter for letter in text)
