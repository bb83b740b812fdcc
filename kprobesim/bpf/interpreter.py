"""Running programs, in two ways with the same results.

``Execution`` goes one instruction at a time and shows its registers, its place and its call depth: the debugger's view.
``BoundProgram.run`` goes all the way at once, with code made once for the program: the view of a probe hit.

Follows RFC 9669 section 4 and 5; local calls as Linux has them: R1 to R5 are arguments and lost after the call, R6 to
R9 and R10 are the caller's again, every call has 512 bytes of stack of its own below the caller's, eight deep at most.
"""

from collections.abc import Callable
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kprobesim.bpf.check import jump_target
from kprobesim.bpf.compiler import (
    FRAME_SIZE,
    MAX_CALL_FRAMES,
    Compiled,
    DepthError,
    OverBudgetError,
    compile_program,
    load_value,
)
from kprobesim.bpf.environment import Environment
from kprobesim.bpf.errors import BpfFault, BudgetExceeded, MemoryFault, RunError
from kprobesim.bpf.helpers import CALLS, Around, HelperContext
from kprobesim.bpf.helpers.base import CALLBACK_BASE
from kprobesim.bpf.helpers.tail_call import TAIL_CALL
from kprobesim.bpf.isa import MASK64, Class, Insn, Pseudo, is_lddw
from kprobesim.bpf.maps import BpfMap
from kprobesim.bpf.memory import GuestMemory
from kprobesim.bpf.semantics import CLOBBERED, NAMES, condition, statements

if TYPE_CHECKING:
    from kprobesim.bpf.program import Program

__all__ = ["DEFAULT_BUDGET", "BoundInsns", "BoundProgram", "Execution", "Frame", "Runnable", "run"]

DEFAULT_BUDGET = 1_000_000
"""Most instructions that one run may execute."""

_FAST_LIMIT = 20_000  # longer programs are stepped: compiling them would take longer than running them


class _Listed:
    """Spelling of the stepper: registers in a list ``r``, memory by calls."""

    def reg(self, number: int) -> str:
        return f"r[{number}]"

    def load(self, target: str, base: int, off: int, size: int) -> list[str]:
        return [f"{target} = from_bytes(read(r[{base}] + {off} & {MASK64:#x}, {size}), 'little')"]

    def probe(self, target: str, base: int, off: int, size: int) -> list[str]:
        return [f"{target} = probe(read, r[{base}] + {off} & {MASK64:#x}, {size})"]

    def store(self, base: int, off: int, size: int, value: str) -> list[str]:
        return [f"write(r[{base}] + {off} & {MASK64:#x}, ({value}).to_bytes({size}, 'little'))"]


_LISTED = _Listed()


class _Kind(Enum):
    PLAIN = auto()
    BRANCH = auto()
    JUMP = auto()
    HELPER = auto()
    CALL = auto()
    EXIT = auto()


@lru_cache(maxsize=4096)
def _operation(insn: Insn, value: int) -> Callable[..., Any]:
    """The instruction as a function of (r, read, write); a conditional jump's says whether it is taken."""
    if insn.cls in (Class.JMP, Class.JMP32):
        body = [f"return {condition(insn, _LISTED)}"]
    else:
        body = statements(insn, _LISTED, value)
    text = "def operation(r, read, write):\n" + "".join(f"    {line}\n" for line in body)
    scope: dict[str, Any] = {**NAMES, "from_bytes": int.from_bytes, "__builtins__": {}}
    exec(compile(text, "<bpf insn>", "exec"), scope)
    operation: Callable[..., Any] = scope["operation"]
    return operation


def _kind(insn: Insn) -> _Kind:
    if insn.cls not in (Class.JMP, Class.JMP32):
        return _Kind.PLAIN
    if insn.code == 0x85:
        return _Kind.CALL if insn.src == 1 else _Kind.HELPER
    return {0x95: _Kind.EXIT, 0x05: _Kind.JUMP, 0x06: _Kind.JUMP}.get(insn.code, _Kind.BRANCH)


class Frame(NamedTuple):
    """What a local call keeps of its caller: the slot to return to, R6 to R9, R10."""

    return_pc: int
    saved: tuple[int, int, int, int]
    fp: int


class Execution:
    """One run of a program, an instruction at a time.

    Args:
        bound: the program and its surroundings; after a tail call the attribute is the other program.
        ctx: guest address of the context, in R1 at the start.
        stack_top: guest address just above the first function's stack, in R10.
        r2: what R2 starts with.
        hook: called before every instruction with this object; it may look, and it may raise.

    Attributes:
        regs: R0 to R10, unsigned 64-bit numbers.
        pc: slot of the next instruction.
        frames: the callers of the function that runs, outermost first.
        executed: instructions executed so far.
        finished: whether the program has returned; its result is then ``regs[0]``.
    """

    def __init__(
        self,
        bound: "BoundInsns",
        ctx: int,
        stack_top: int,
        *,
        r2: int = 0,
        hook: "Callable[[Execution], None] | None" = None,
    ) -> None:
        self.bound = bound
        bound.helpers.tail_call_cnt = 0
        self.regs = [0, ctx & MASK64, r2 & MASK64, 0, 0, 0, 0, 0, 0, 0, stack_top]
        self.pc = 0
        self.frames: tuple[Frame, ...] = ()
        self.executed = 0
        self.finished = False
        self._hook = hook

    @property
    def depth(self) -> int:
        """Nesting of functions: 0 in the first one."""
        return len(self.frames)

    def step(self) -> bool:
        """Execute one instruction; whether the program goes on.

        Raises:
            BpfFault: memory that is not there; nothing but the program's place is changed.
            BudgetExceeded: the instruction budget is used up.
            RunError: calls nested too deep, or the program has ended.
        """
        pc = self.pc
        if self.finished:
            raise RunError("the program has ended.", pc)
        bound = self.bound
        if self.executed >= bound.budget:
            raise BudgetExceeded(pc, bound.budget)
        if self._hook is not None:
            self._hook(self)
        insns, regs = bound.insns, self.regs
        insn = insns[pc]
        kind = _kind(insn)
        following = pc + 1
        try:
            if kind is _Kind.PLAIN:
                value = 0
                if is_lddw(insn):
                    value, following = load_value(insns, pc), pc + 2
                _operation(insn, value)(regs, bound.memory.read, bound.memory.write)
            elif kind is _Kind.HELPER:
                following = self._helper(pc, insn.imm)
            elif kind is _Kind.CALL:
                following = self._call(pc, insn)
            elif kind is _Kind.EXIT:
                following = self._return(pc)
            elif kind is _Kind.JUMP or _operation(insn, 0)(regs, None, None):
                target = jump_target(insns, pc)
                assert target is not None
                following = target
        except MemoryFault as fault:
            raise BpfFault(pc, fault) from None
        self.executed += 1
        self.pc = following
        return not self.finished

    def run(self) -> int:
        """Execute to the end; R0. Raises what ``step`` raises."""
        while self.step():
            pass
        return self.regs[0]

    def save(self) -> object:
        """Program, registers, place and callers; not in the middle of a callback, whose caller is a helper."""
        return self.bound, tuple(self.regs), self.pc, self.frames, self.executed, self.finished

    def restore(self, state: object) -> None:
        """Put back what ``save`` gave."""
        assert isinstance(state, tuple)
        self.bound, regs, self.pc, self.frames, self.executed, self.finished = state
        self.regs[:] = regs

    def _helper(self, pc: int, number: int) -> int:
        helpers, regs, helper = self.bound.helpers, self.regs, CALLS[number]
        ctx, kept = regs[1], helpers.on_callback
        helpers.on_callback = self._callback
        try:
            result = helpers.entry(helper)(helpers, *regs[1 : 1 + len(helper.args)]) & MASK64
        finally:
            helpers.on_callback = kept
        regs[1:6] = [CLOBBERED] * 5
        if number != TAIL_CALL:
            regs[0] = result
        elif result:
            assert helpers.bind is not None and helpers.tail_target is not None
            count = helpers.tail_call_cnt
            self.bound = helpers.bind(helpers.tail_target)
            self.bound.helpers.tail_call_cnt = count
            regs[1] = ctx
            return 0
        return pc + 1

    def _callback(self, function: int, args: tuple[int, ...]) -> int:
        """Run a function for a helper, step by step like the rest; R0."""
        slot, rest = divmod(function - CALLBACK_BASE, 8)
        if rest or slot not in self.bound.callback_slots:
            raise MemoryFault(function, 8, write=False)
        pc, regs = self.pc, list(self.regs)
        depth = len(self.frames)
        if depth + 1 >= MAX_CALL_FRAMES:
            raise _too_deep(pc)
        self.frames += (Frame(pc, (regs[6], regs[7], regs[8], regs[9]), regs[10]),)
        self.regs[:] = [0, *args, 0, 0, 0, 0, regs[10] - FRAME_SIZE]
        self.pc = slot
        while len(self.frames) > depth:
            self.step()
        result = self.regs[0]
        self.regs[:], self.pc = regs, pc
        return result

    def _call(self, pc: int, insn: Insn) -> int:
        if len(self.frames) + 1 >= MAX_CALL_FRAMES:
            raise _too_deep(pc)
        regs = self.regs
        self.frames += (Frame(pc + 1, (regs[6], regs[7], regs[8], regs[9]), regs[10]),)
        regs[10] -= FRAME_SIZE
        return pc + 1 + insn.imm

    def _return(self, pc: int) -> int:
        if not self.frames:
            self.finished = True
            return pc
        frame = self.frames[-1]
        self.frames = self.frames[:-1]
        self.regs[1:] = [*[CLOBBERED] * 5, *frame.saved, frame.fp]
        return frame.return_pc


def _too_deep(pc: int) -> RunError:
    return RunError(f"calls are nested more than {MAX_CALL_FRAMES} deep.", pc)


class Runnable(Protocol):
    """What can be bound and run: a Program, or a classic filter that was converted."""

    @property
    def resolved(self) -> tuple[Insn, ...]:
        """The instructions, maps by their addresses."""
        ...

    @property
    def used_maps(self) -> tuple[BpfMap, ...]:
        """The maps they name."""
        ...


class BoundInsns:
    """Instructions with the memory and the machine they run in.

    Args:
        program: what to run.
        memory: guest memory; the fast way is fastest if it has a window.
        env: the machine around the program.
        budget: most instructions of one run.
        around: sees every call of a helper; see HelperContext.
        bind: gives a program that is tail-called the machine to run in.
    """

    def __init__(
        self,
        program: Runnable,
        memory: GuestMemory,
        env: Environment,
        budget: int = DEFAULT_BUDGET,
        around: Around | None = None,
        bind: "Callable[[Program], BoundProgram] | None" = None,
    ) -> None:
        self.insns = program.resolved
        self.memory = memory
        self.budget = budget
        self.helpers = HelperContext(memory, env, {m.address: m for m in program.used_maps}, around, bind)
        self.callback_slots = frozenset(
            at + 1 + insn.imm for at, insn in enumerate(self.insns) if is_lddw(insn) and insn.src == Pseudo.FUNC
        )
        self._compiled: Compiled | None = None
        self._run: Callable[..., tuple[int, int]] = self._first_run

    def run(self, ctx: int, stack_top: int, r2: int = 0) -> int:
        """Run to the end; R0 as an unsigned 64-bit number. Raises what ``run_counted`` raises."""
        return self.run_counted(ctx, stack_top, r2)[0]

    def run_counted(self, ctx: int, stack_top: int, r2: int = 0) -> tuple[int, int]:
        """Run to the end; R0, and how many instructions that took.

        Args:
            ctx: guest address of the context.
            stack_top: guest address just above the stack: 512 bytes below it are used, 4096 with local calls.
            r2: what R2 starts with.

        Raises:
            BpfFault: memory that is not there.
            BudgetExceeded: more instructions than the budget.
            RunError: calls nested too deep.
        """
        self.helpers.tail_call_cnt = 0
        try:
            return self._run(ctx, r2, stack_top)
        except (MemoryFault, OverBudgetError, DepthError) as error:
            raise self._explained(error) from None

    def run_on(self, ctx: int, stack_top: int, executed: int) -> tuple[int, int]:
        """Take over from a program that tail-calls this one, after so many instructions; like `run_counted`."""
        try:
            return self._run(ctx, 0, stack_top, n=executed)
        except (MemoryFault, OverBudgetError, DepthError) as error:
            raise self._explained(error) from None

    def _explained(self, error: MemoryFault | OverBudgetError | DepthError) -> RunError:
        """What compiled code raises, with the instruction that it happened at."""
        if isinstance(error, MemoryFault):
            return BpfFault(self._where(error), error)
        if isinstance(error, OverBudgetError):
            return BudgetExceeded(self._where(error), self.budget)
        return _too_deep(self._where(error))

    def start(
        self, ctx: int, stack_top: int, r2: int = 0, hook: Callable[[Execution], None] | None = None
    ) -> Execution:
        """The same run, to be stepped; nothing is executed yet."""
        return Execution(self, ctx, stack_top, r2=r2, hook=hook)

    def _where(self, error: Exception) -> int:
        assert self._compiled is not None
        return self._compiled.where(error.__traceback__)

    def _first_run(self, ctx: int, r2: int, stack_top: int, n: int = 0) -> tuple[int, int]:
        if len(self.insns) > _FAST_LIMIT:
            self._run = self._stepped
        else:
            self._compiled = compile_program(self.insns, self.memory, self.helpers, self.budget)
            self._run = self._compiled.run
        return self._run(ctx, r2, stack_top, n=n)

    def _stepped(self, ctx: int, r2: int, stack_top: int, n: int = 0) -> tuple[int, int]:
        execution = self.start(ctx, stack_top, r2)
        execution.executed = n
        return execution.run(), execution.executed


class BoundProgram(BoundInsns):
    """A program that was loaded, with the memory and the machine it runs in; see BoundInsns.

    Args:
        peers: the programs that it is bound together with, for tail calls; filled as they are called.
    """

    def __init__(
        self,
        program: "Program",
        memory: GuestMemory,
        env: Environment,
        budget: int = DEFAULT_BUDGET,
        around: Around | None = None,
        peers: "dict[Program, BoundProgram] | None" = None,
    ) -> None:
        super().__init__(program, memory, env, budget, around, self._peer)
        self.program = program
        self._env, self._around = env, around
        self._peers: dict[Program, BoundProgram] = {} if peers is None else peers
        self._peers[program] = self

    def _peer(self, program: "Program") -> "BoundProgram":
        found = self._peers.get(program)
        if found is None:
            found = BoundProgram(program, self.memory, self._env, self.budget, self._around, self._peers)
        return found


def run(
    program: "Program",
    ctx: int,
    env: Environment,
    memory: GuestMemory,
    stack_top: int,
    *,
    r2: int = 0,
    budget: int = DEFAULT_BUDGET,
) -> int:
    """Run a program once; R0. Where it runs often, keep ``program.bind(memory, env)`` and use its ``run``."""
    return BoundProgram(program, memory, env, budget).run(ctx, stack_top, r2)
