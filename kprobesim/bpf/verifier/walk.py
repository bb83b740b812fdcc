"""The verifier's walk as something to go through: paths, visits of the same instruction, where values come from.

It is made of recorded visits and knows nothing of how they came about, so that a screen can go back and forth in it.
A place is named as in the log: ``R1``, ``fp-8``; it is one of the visit's innermost function unless said otherwise.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kprobesim.bpf.isa import ATOMIC_OPS, BPF_FETCH, Class, Insn, Mode, Op
from kprobesim.bpf.verifier.log import reg_text, slot_text
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.state import BPF_REG_FP, SLOT0
from kprobesim.bpf.verifier.visits import FrameRecord, Visit

__all__ = ["Origin", "Walk", "place_name", "read_places", "written_place"]

_FIRST_ARGUMENTS = range(1, 6)


class Origin(NamedTuple):
    """One step in the history of a value.

    Attributes:
        visit: number of the visit that did it.
        insn: its instruction.
        text: the instruction as the log prints it.
        kind: ``set`` a constant, ``copied``, ``filled`` from the stack, ``stored`` to it, ``loaded`` from elsewhere,
            ``arithmetic``, ``returned`` by a call, ``passed`` to one, ``narrowed`` by a comparison, ``changed`` in some
            other way, ``entry`` for the program's beginning.
        place: what it changed.
        source: the place that the value was taken over from, or that was added to it; or nothing.
        value: the place afterwards, as the log prints it.
    """

    visit: int
    insn: int
    text: str
    kind: str
    place: str
    source: str
    value: str


def place_name(place: int) -> str:
    """``R3`` or ``fp-16`` for a frame's place."""
    return f"R{place}" if place < SLOT0 else f"fp{-8 * (place - SLOT0 + 1)}"


def _place(name: str) -> int:
    if name.startswith("R"):
        return int(name[1:])
    return SLOT0 + int(name[3:]) // 8 - 1


def _slot(insn: Insn) -> int:
    return SLOT0 + (-insn.off - 1) // 8


def written_place(insn: Insn) -> int | None:
    """The place that an instruction writes; of stack slots only those addressed by R10. None for calls and jumps."""
    cls = insn.code & 7
    if cls in (Class.ALU, Class.ALU64, Class.LDX, Class.LD):
        return insn.dst
    if cls == Class.STX and insn.code & 0xE0 == Mode.ATOMIC and insn.imm & BPF_FETCH:
        return 0 if ATOMIC_OPS.get(insn.imm) == "cmpxchg" else insn.src
    if cls in (Class.ST, Class.STX) and insn.dst == BPF_REG_FP and insn.off < 0:
        return _slot(insn)
    return None


def read_places(insn: Insn) -> tuple[int, ...]:
    """The places that an instruction reads, those of calls left out."""
    cls, op = insn.code & 7, insn.code & 0xF0
    if cls in (Class.ALU, Class.ALU64):
        own = () if op == Op.MOV else (insn.dst,)
        return (*own, insn.src) if insn.code & 8 and op not in (Op.END, Op.NEG) else own
    if cls == Class.LDX:
        return (insn.src, _slot(insn)) if insn.src == BPF_REG_FP and insn.off < 0 else (insn.src,)
    if cls == Class.ST:
        return (insn.dst,)
    if cls == Class.STX:
        return (insn.dst, insn.src)
    if cls in (Class.JMP, Class.JMP32):
        if op in (0x00, 0x80):
            return ()
        return (0,) if op == 0x90 else (insn.dst, insn.src) if insn.code & 8 else (insn.dst,)
    return ()


def _is_branch(insn: Insn) -> bool:
    return insn.code & 7 in (Class.JMP, Class.JMP32) and insn.code & 0xF0 not in (0x00, 0x80, 0x90)


def _is_call(insn: Insn) -> bool:
    return insn.code & 7 == Class.JMP and insn.code & 0xF0 == 0x80


def _same(a: Reg, b: Reg) -> bool:
    """Whether nothing but ids and marks differs."""
    if a is b:
        return True
    return (
        a.same_shape(b)
        and a.var_off == b.var_off
        and reg_text(a.with_(id=0, precise=False)) == reg_text(b.with_(id=0, precise=False))
    )


class Walk:
    """Recorded visits in the order in which the verifier made them.

    Args:
        visits: what was recorded.
        dropped: how many visits were not.
        insns: the program.
    """

    def __init__(self, visits: Sequence[Visit], dropped: int, insns: Sequence[Insn]) -> None:
        self.visits = visits
        self.dropped = dropped
        self.insns = insns
        self._at = {visit.number: position for position, visit in enumerate(visits)}
        self._by_insn: dict[int, list[int]] = {}
        self._children: dict[int, list[int]] = {}
        for position, visit in enumerate(visits):
            self._by_insn.setdefault(visit.insn, []).append(position)
            if visit.parent is not None and visit.parent in self._at:
                self._children.setdefault(self._at[visit.parent], []).append(position)

    def __len__(self) -> int:
        return len(self.visits)

    def __iter__(self) -> Iterator[Visit]:
        return iter(self.visits)

    def __getitem__(self, position: int) -> Visit:
        return self.visits[position]

    def position(self, number: int) -> int | None:
        """Where the visit with this number is, if it was recorded."""
        return self._at.get(number)

    def at(self, insn: int) -> tuple[int, ...]:
        """Positions of all visits of an instruction."""
        return tuple(self._by_insn.get(insn, ()))

    def next_same(self, position: int) -> int | None:
        """The next visit of the same instruction."""
        return self._beside(position, 1)

    def previous_same(self, position: int) -> int | None:
        """The visit before of the same instruction."""
        return self._beside(position, -1)

    def _beside(self, position: int, step: int) -> int | None:
        same = self._by_insn[self.visits[position].insn]
        at = same.index(position) + step
        return same[at] if 0 <= at < len(same) else None

    def parent(self, position: int) -> int | None:
        """The visit before on the path."""
        number = self.visits[position].parent
        return None if number is None else self._at.get(number)

    def children(self, position: int) -> tuple[int, ...]:
        """The visits after it: two where the path branches, none where it ends."""
        return tuple(self._children.get(position, ()))

    def taken(self, position: int) -> bool | None:
        """Whether the path came here by a jump's target; None where the visit before is no conditional jump."""
        before = self.parent(position)
        if before is None or not _is_branch(self.insns[self.visits[before].insn]):
            return None
        branch = self.visits[before]
        if branch.path != self.visits[position].path:
            return self.visits[position].insn != branch.insn + 1 or self.insns[branch.insn].off == 0
        return branch.waiting is None and self.visits[position].insn != branch.insn + 1

    def path(self, position: int) -> list[int]:
        """The way from the beginning, or from the first visit that is still there, to a visit."""
        way = [position]
        while (before := self.parent(way[-1])) is not None:
            way.append(before)
        way.reverse()
        return way

    def value(self, position: int, name: str, depth: int = -1) -> str:
        """A place before a visit, as the log prints it; empty if there is nothing."""
        frame = self.visits[position].before[depth]
        place = _place(name)
        if place >= len(frame.values):
            return ""
        return _text(frame, place)

    def origins(self, position: int, name: str, limit: int = 12) -> list[Origin]:
        """Where the value of a place before a visit comes from, the latest step first.

        Copies and spills are followed to the place that they were made from.
        """
        way = self.path(position)
        depth = len(self.visits[position].before) - 1
        place = _place(name)
        found: list[Origin] = []
        for before, after in zip(reversed(way[:-1]), reversed(way[1:]), strict=True):
            if len(found) >= limit:
                return found
            step = self._step(before, after, depth, place)
            if step is None:
                continue
            origin, place, depth, ends = step
            found.append(origin)
            if ends:
                return found
        first = self.visits[way[0]]
        frames = first.before
        if first.parent is None and depth < len(frames) and place < len(frames[depth].values):
            frame = frames[depth]
            text = _text(frame, place)
            found.append(Origin(first.number, first.insn, "", "entry", place_name(place), "", text))
        return found

    def _step(self, before: int, after: int, depth: int, place: int) -> tuple[Origin, int, int, bool] | None:
        """What the first of two visits did to the place; with it the place and depth to follow, and whether to stop."""
        old, new = self.visits[before], self.visits[after]
        insn = self.insns[old.insn]
        frames = old.before
        result = new.before[depth]
        text = _text(result, place)

        def origin(kind: str, source: int | None = None) -> Origin:
            from_place = "" if source is None else place_name(source)
            return Origin(old.number, old.insn, old.text, kind, place_name(place), from_place, text)

        if depth >= len(frames):
            if place in _FIRST_ARGUMENTS:
                return origin("passed", place), place, depth - 1, False
            return origin("entry"), place, depth, True
        own = depth == len(frames) - 1
        if own and written_place(insn) == place:
            kind, source, ends = _written(insn)
            follow = place if source is None or kind == "arithmetic" else source
            return origin(kind, source), follow, depth, ends
        if own and _is_call(insn) and place < 6:
            return origin("returned"), place, depth, True
        if own and insn.code == 0x95:
            return None
        was = frames[depth]
        if place >= len(was.values):
            return origin("changed"), place, depth, True
        if _same(was.values[place], result.values[place]) and _kinds(was, place) == _kinds(result, place):
            return None
        if own and _is_branch(insn):
            return origin("narrowed"), place, depth, False
        if depth == len(new.before) - 1 and len(frames) > len(new.before) and place == 0:
            return origin("returned"), place, depth, True
        return origin("changed"), place, depth, True

    def uses(self, position: int, name: str, limit: int = 100) -> list[int]:
        """Visits that read a place as it is before ``position``, on all paths from there until it is written again."""
        place = _place(name)
        depth = len(self.visits[position].before)
        found: list[int] = []
        waiting = [position]
        while waiting and len(found) < limit:
            at = waiting.pop()
            visit = self.visits[at]
            insn = self.insns[visit.insn]
            if len(visit.before) < depth:
                continue
            if len(visit.before) == depth:
                called = _is_call(insn) and place in _FIRST_ARGUMENTS
                if place in read_places(insn) or called:
                    found.append(at)
                if written_place(insn) == place or (_is_call(insn) and place < 6):
                    continue
            waiting += reversed(self.children(at))
        return sorted(found)


def _written(insn: Insn) -> tuple[str, int | None, bool]:
    """How an instruction makes its result: the kind, the place that it takes over, whether history ends there."""
    cls, op = insn.code & 7, insn.code & 0xF0
    if cls in (Class.ALU, Class.ALU64):
        if op == Op.MOV:
            return ("copied", insn.src, False) if insn.code & 8 else ("set", None, True)
        by_register = insn.code & 8 and op not in (Op.END, Op.NEG)
        return "arithmetic", insn.src if by_register else None, False
    if cls == Class.LD:
        return ("set" if insn.code & 0xE0 == Mode.IMM else "loaded"), None, True
    if cls == Class.LDX:
        spilled = insn.src == BPF_REG_FP and insn.off < 0
        return ("filled", _slot(insn), False) if spilled else ("loaded", None, True)
    if cls == Class.STX and insn.code & 0xE0 == Mode.ATOMIC:
        return "loaded", None, True
    return ("stored", insn.src, False) if cls == Class.STX else ("set", None, True)


def _kinds(frame: FrameRecord, place: int) -> bytes:
    return frame.kinds[place - SLOT0] if place >= SLOT0 else b""


def _text(frame: FrameRecord, place: int) -> str:
    if place >= len(frame.values):
        return ""
    if place < SLOT0:
        return reg_text(frame.values[place])
    return slot_text(frame.values[place], frame.kinds[place - SLOT0])
