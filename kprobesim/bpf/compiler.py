"""Turns a whole program into Python functions, one for each BPF function; this is what runs on a probe hit.

Registers become local variables. Code is cut into heads, places that are jumped to; a head's code follows the program
through forward jumps and fall-throughs for as long as it can, so most tracing programs become one straight function.
Several heads share a loop that picks the next one by number::

    def f0(r1, r2, fp, r0=0, ..., n=0):
        while True:
            if pc < 7:
                while True:        # a head that jumps back to itself loops without the detour
                    ...

``n`` counts executed instructions. It is compared with the budget where the program jumps back, calls or ends, so time
is bounded; a program that runs over it may have done up to one head's work more before that is noticed.

Where memory offers a window (see WindowedMemory) accesses inside it are reads and writes of a buffer. Each line
remembers its instruction, so a fault costs nothing until it happens.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from kprobesim.bpf.check import jump_target, subprograms
from kprobesim.bpf.helpers import CALLS, CALLS_BACK, HelperContext
from kprobesim.bpf.helpers.base import CALLBACK_BASE, FRAME_SIZE, MAX_CALL_FRAMES, DepthError
from kprobesim.bpf.helpers.tail_call import TAIL_CALL
from kprobesim.bpf.isa import MASK64, Insn, Pseudo, is_lddw, lddw_value
from kprobesim.bpf.memory import GuestMemory, WindowedMemory
from kprobesim.bpf.semantics import CLOBBERED, NAMES, condition, statements
from kprobesim.errors import KprobesimError

__all__ = [
    "FRAME_SIZE",
    "MAX_CALL_FRAMES",
    "Compiled",
    "DepthError",
    "OverBudgetError",
    "compile_program",
    "load_value",
]

_TAIL = 8  # a jump to at most this many instructions before an exit is replaced by a copy of them
_LONGEST = 256  # a head's code ends after this many instructions

_MASK = f"{MASK64:#x}"
_REGISTERS = (*(f"r{n}" for n in range(10)), "fp")


class OverBudgetError(KprobesimError):
    """Raised by compiled code; the caller turns it into BudgetExceeded."""


def load_value(insns: Sequence[Insn], at: int) -> int:
    """What the 64-bit load in a slot loads; the program's own functions have addresses that only the helpers know."""
    if insns[at].src == Pseudo.FUNC:
        return CALLBACK_BASE + 8 * (at + 1 + insns[at].imm)
    return lddw_value(insns, at)


class Compiled(NamedTuple):
    """A program ready to run.

    Attributes:
        run: called with r1, r2 and the stack's top, and as ``n`` how many instructions were executed before; gives r0
            and the number of instructions executed.
        source: the Python text it was made from.
        insn_of_line: the slot of each line of that text, line 1 first.
        filename: the name by which tracebacks know it.
    """

    run: Callable[..., tuple[int, int]]
    source: str
    insn_of_line: tuple[int, ...]
    filename: str

    def where(self, traceback: TracebackType | None) -> int:
        """The slot at which an exception left the compiled code; the innermost function's, 0 if it never was there."""
        found = 0
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == self.filename:
                found = self.insn_of_line[traceback.tb_lineno - 1]
            traceback = traceback.tb_next
        return found


class _Spelling:
    """Registers are variables; ``window`` is the address of the window, or None to call for every access."""

    def __init__(self, window: int | None) -> None:
        self.window = window

    def reg(self, number: int) -> str:
        return _REGISTERS[number]

    def _access(self, base: int, off: int, size: int, inside: Callable[[str], str], outside: str) -> list[str]:
        if self.window is None:
            return [outside]
        if base == 10 and -FRAME_SIZE <= off <= -size:
            return [inside(f"sp - {-off}")]
        return [
            f"o = {_REGISTERS[base]} - {self.window - off:#x}",
            f"if 0 <= o <= last{size}:",
            f"    {inside('o')}",
            "else:",
            f"    {outside}",
        ]

    def load(self, target: str, base: int, off: int, size: int) -> list[str]:
        fast = "{} = view[{}]" if size == 1 else f"{{}} = load{size}(view, {{}})[0]"
        slow = f"{target} = from_bytes(read({_REGISTERS[base]} + {off} & {_MASK}, {size}), 'little')"
        return self._access(base, off, size, lambda place: fast.format(target, place), slow)

    def probe(self, target: str, base: int, off: int, size: int) -> list[str]:
        fast = "{} = view[{}]" if size == 1 else f"{{}} = load{size}(view, {{}})[0]"
        slow = f"{target} = probe(read, {_REGISTERS[base]} + {off} & {_MASK}, {size})"
        return self._access(base, off, size, lambda place: fast.format(target, place), slow)

    def store(self, base: int, off: int, size: int, value: str) -> list[str]:
        fast = "view[{}] = {}" if size == 1 else f"store{size}(view, {{}}, {{}})"
        slow = f"write({_REGISTERS[base]} + {off} & {_MASK}, ({value}).to_bytes({size}, 'little'))"
        return self._access(base, off, size, lambda place: fast.format(place, value), slow)


class _Block:
    """Lines of one head, each with its instruction; jumps are marked and spelled when it is known what is around."""

    SELF = "@self"
    OTHER = "@other"

    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []
        self.loops = False

    def add(self, insn: int, *lines: str, depth: int = 0) -> None:
        self.lines += [("    " * depth + line, insn) for line in lines]

    def spelled(self) -> list[tuple[str, int]]:
        """The lines; inside a loop of its own if the head jumps to itself."""
        other = "break" if self.loops else "continue"
        lines = [(line.replace(self.SELF, "continue").replace(self.OTHER, other), at) for line, at in self.lines]
        if not self.loops:
            return lines
        return [("while True:", lines[0][1]), *((f"    {line}", at) for line, at in lines)]


class _Function:
    """Writes one BPF function, slots ``start`` to ``end`` (exclusive)."""

    def __init__(self, insns: Sequence[Insn], start: int, end: int, spelling: _Spelling, bounded: bool) -> None:
        self.insns = insns
        self.start = start
        self.end = end
        self.spell = spelling
        self.bounded = bounded
        self.heads = [start]
        self.targets: set[int] = set()
        self.back_targets: set[int] = set()
        at = start
        while at < end:
            target = jump_target(insns, at)
            if target is not None:
                self.targets.add(target)
                if target <= at:
                    self.back_targets.add(target)
            at += 2 if is_lddw(insns[at]) else 1
        self.room = 3 * (end - start) + 512  # copies of code may add up to this many instructions

    def write(self) -> list[tuple[str, int]]:
        blocks: dict[int, list[tuple[str, int]]] = {}
        for head in self.heads:  # grows while it is walked
            blocks[head] = self._head(head).spelled()
        windowed = self.spell.window is not None
        lines = [
            (f"def f{self.start}(r1, r2, fp, r0=0, {', '.join(f'r{n}=0' for n in range(3, 10))}, depth=1, n=0):", 0)
        ]
        prologue = [f"sp = fp - {self.spell.window:#x}"] if windowed else []
        if self.start == 0 and windowed:
            prologue += ["if not lowest <= sp <= highest and depth == 1:", "    return elsewhere(r1, r2, fp, n)"]
        lines += [(f"    {line}", self.start) for line in prologue]
        if len(self.heads) == 1:
            return lines + [(f"    {line}", at) for line, at in blocks[self.start]]
        lines += [(f"    pc = {self.start}", self.start), ("    while True:", self.start)]
        return lines + self._choose(sorted(blocks), blocks, 2)

    def _choose(self, heads: list[int], blocks: dict[int, list[tuple[str, int]]], depth: int) -> list[tuple[str, int]]:
        pad = "    " * depth
        if len(heads) == 1:
            return [(pad + line, at) for line, at in blocks[heads[0]]]
        middle = len(heads) // 2
        return [
            (f"{pad}if pc < {heads[middle]}:", heads[0]),
            *self._choose(heads[:middle], blocks, depth + 1),
            (f"{pad}else:", heads[middle]),
            *self._choose(heads[middle:], blocks, depth + 1),
        ]

    def _head(self, head: int) -> _Block:
        block = _Block()
        at, count, length = head, 0, 0
        while True:
            stop = at in self.back_targets or at in self.heads or length >= _LONGEST
            if at != head and (stop or (self.room <= 0 and at in self.targets)):
                self._goto(block, at, at - 1, count, head, 0)
                return block
            insn = self.insns[at]
            count += 1
            length += 1
            self.room -= 1
            if insn.code == 0x95:
                self._exit(block, at, count, 0)
                return block
            target = jump_target(self.insns, at)
            if target is None:
                count = self._plain(block, at, count, 0)
                at += 2 if is_lddw(insn) else 1
            elif insn.code in (0x05, 0x06):
                if target <= at:
                    self._goto(block, target, at, count, head, 0)
                    return block
                at = target
            else:
                block.add(at, f"if {condition(insn, self.spell)}:")
                self._goto(block, target, at, count, head, 1)
                at += 1

    def _plain(self, block: _Block, at: int, count: int, depth: int) -> int:
        """An instruction without a jump; gives the count of instructions that ``n`` does not hold yet."""
        insn = self.insns[at]
        clobber = f"r1 = r2 = r3 = r4 = r5 = {CLOBBERED:#x}"
        if insn.code != 0x85:
            value = load_value(self.insns, at) if is_lddw(insn) else 0
            block.add(at, *statements(insn, self.spell, value), depth=depth)
        elif insn.src == 1:
            kept = ", ".join(f"r{n}" for n in range(3, 10))
            block.add(at, f"if n + {count} > limit: raise OverBudgetError('')", depth=depth)
            block.add(at, f"if depth >= {MAX_CALL_FRAMES}: raise DepthError('')", depth=depth)
            callee = f"f{at + 1 + insn.imm}(r1, r2, fp - {FRAME_SIZE}, r0, {kept}, depth + 1, n + {count})"
            block.add(at, f"r0, n = {callee}", clobber, depth=depth)
            return 0
        else:
            arguments = "".join(f", r{n + 1}" for n in range(len(CALLS[insn.imm].args)))
            call = f"h{insn.imm}(ctx{arguments})"
            if insn.imm == TAIL_CALL:
                block.add(at, f"if {call}:", f"    return ctx.tail(r1, fp, n + {count})", clobber, depth=depth)
            elif insn.imm in CALLS_BACK:
                block.add(at, f"if n + {count} > limit: raise OverBudgetError('')", depth=depth)
                block.add(at, f"ctx.enter(callbacks, fp, depth, n + {count})", depth=depth)
                block.add(at, f"r0 = {call} & {_MASK}", "n = ctx.executed", clobber, depth=depth)
                return 0
            else:
                block.add(at, f"r0 = {call} & {_MASK}", clobber, depth=depth)
        return count

    def _exit(self, block: _Block, at: int, count: int, depth: int) -> None:
        if self.bounded:
            block.add(at, f"n += {count}", "if n > limit: raise OverBudgetError('')", "return r0, n", depth=depth)
        else:
            block.add(at, f"return r0, n + {count}", depth=depth)

    def _goto(self, block: _Block, target: int, at: int, count: int, head: int, depth: int) -> None:
        tail = self._tail(target)
        if target > at and tail:
            for step in tail[:-1]:
                self._plain(block, step, 0, depth)
            self._exit(block, tail[-1], count + len(tail), depth)
            return
        block.add(at, f"n += {count}", depth=depth)
        if target <= at:
            block.add(at, "if n > limit: raise OverBudgetError('')", depth=depth)
        if target == head:
            block.loops = True
            block.add(at, block.SELF, depth=depth)
            return
        if target not in self.heads:
            self.heads.append(target)
        block.add(at, f"pc = {target}", block.OTHER, depth=depth)

    def _tail(self, at: int) -> list[int]:
        """The few instructions from here to an exit, without a jump or local call; nothing if it is not so."""
        tail: list[int] = []
        while len(tail) < _TAIL:
            insn = self.insns[at]
            if jump_target(self.insns, at) is not None or _leaves(insn):
                break
            tail.append(at)
            if insn.code == 0x95:
                self.room -= len(tail)
                return tail
            at += 2 if is_lddw(insn) else 1
        return []


def _leaves(insn: Insn) -> bool:
    """Whether an instruction may execute others before, or instead of, the next one."""
    return insn.code == 0x85 and (insn.src == 1 or insn.imm == TAIL_CALL or insn.imm in CALLS_BACK)


def _source(insns: Sequence[Insn], window: int | None, budget: int) -> tuple[str, list[int]]:
    starts = subprograms(insns)
    ends = (*starts[1:], len(insns))
    jumps = [(at, jump_target(insns, at)) for at in range(len(insns))]
    loops = any(target is not None and target <= at for at, target in jumps)
    bounded = loops or len(starts) > 1 or len(insns) > budget
    lines: list[tuple[str, int]] = []
    for start, end in zip(starts, ends, strict=True):
        lines += _Function(insns, start, end, _Spelling(window), bounded).write()
    sizes = (2, 4, 8)
    names = ["view", "lowest", "highest", "elsewhere", "read", "write", "limit", "ctx"]
    names += [f"load{n}" for n in sizes] + [f"store{n}" for n in sizes] + [f"last{n}" for n in (1, *sizes)]
    names += sorted({f"h{insn.imm}" for insn in insns if insn.code == 0x85 and insn.src == 0 and insn.imm in CALLS})
    text = [f"def make({', '.join(names)}):"]
    text += [f"    {line}" for line, _ in lines]
    called = {at + 1 + insns[at].imm for at in range(len(insns)) if is_lddw(insns[at]) and insns[at].src == Pseudo.FUNC}
    text.append(f"    callbacks = {{{', '.join(f'{start}: f{start}' for start in sorted(called))}}}")
    text.append("    return f0")
    return "\n".join(text) + "\n", [0, *(at for _, at in lines), 0, 0]


def compile_program(
    insns: Sequence[Insn], memory: GuestMemory, helpers: HelperContext, budget: int, *, use_window: bool = True
) -> Compiled:
    """Make a program fit to run fast.

    Args:
        insns: a checked program whose map references are addresses.
        memory: where loads and stores go.
        helpers: what helpers work on.
        budget: most instructions of one run.
        use_window: whether to look for a window in ``memory``.
    """
    window: int | None = None
    view = memoryview(b"")
    if use_window and isinstance(memory, WindowedMemory):
        window, view = memory.window()
    source, insn_of_line = _source(insns, window, budget)
    filename = f"<bpf program {id(insns):#x}{'' if window is None else ' windowed'}>"
    spare: list[Compiled] = []

    def elsewhere(r1: int, r2: int, stack_top: int, n: int) -> tuple[int, int]:
        """Run with a stack that is not in the window."""
        if not spare:
            spare.append(compile_program(insns, memory, helpers, budget, use_window=False))
        return spare[0].run(r1, r2, stack_top, n=n)

    frames = MAX_CALL_FRAMES if len(subprograms(insns)) > 1 else 1
    given: dict[str, Any] = {
        "view": view,
        "lowest": frames * FRAME_SIZE,
        "highest": len(view),
        "elsewhere": elsewhere,
        "read": memory.read,
        "write": memory.write,
        "limit": budget,
        "ctx": helpers,
    }
    for size, letter in ((2, "H"), (4, "I"), (8, "Q")):
        codec = struct.Struct(f"<{letter}")
        given |= {f"load{size}": codec.unpack_from, f"store{size}": codec.pack_into}
    given |= {f"last{size}": len(view) - size for size in (1, 2, 4, 8)}
    given |= {
        f"h{insn.imm}": helpers.entry(CALLS[insn.imm])
        for insn in insns
        if insn.code == 0x85 and insn.src == 0 and insn.imm in CALLS
    }
    names: Mapping[str, Any] = {
        **NAMES,
        "OverBudgetError": OverBudgetError,
        "DepthError": DepthError,
        "from_bytes": int.from_bytes,
        "__builtins__": {},
    }
    scope = dict(names)
    exec(compile(source, filename, "exec"), scope)
    return Compiled(scope["make"](**given), source, tuple(insn_of_line), filename)
