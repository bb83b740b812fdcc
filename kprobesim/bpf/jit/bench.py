"""A CPU to run JITed programs on without a machine around them.

Unicorn in 64-bit mode, kernel-like addresses, no page tables: what is not mapped faults. Three regions: executable
memory where Linux has its modules, a page of stubs, and the guest memory that was given. A helper's address is its
stub, which stops the CPU; the host then does the helper's work and lets the CPU go on behind the stop.
"""

import ctypes
from collections.abc import Callable
from typing import Any, NoReturn

import unicorn
from unicorn import x86_const as x86

from kprobesim.bpf.environment import Environment
from kprobesim.bpf.errors import BpfFault, BudgetExceeded, MemoryFault, RunError
from kprobesim.bpf.helpers import CALLS, Around, HelperContext
from kprobesim.bpf.interpreter import Runnable
from kprobesim.bpf.jit.blinding import blind_constants
from kprobesim.bpf.jit.config import DEFAULT_CONFIG, JitConfig
from kprobesim.bpf.jit.errors import JitError
from kprobesim.bpf.jit.fixups import do_misc_fixups
from kprobesim.bpf.jit.image import ExtableEntry
from kprobesim.bpf.jit.program import JitProgram, jit_insns
from kprobesim.bpf.jit.stack import MAX_BPF_STACK
from kprobesim.bpf.memory import PAGE_SIZE, FlatMemory, WindowedMemory
from kprobesim.bpf.semantics import CLOBBERED
from kprobesim.machine.calibration import calibrate

__all__ = ["CODE_BASE", "DEFAULT_BUDGET", "Bench", "JitedProgram", "helper_stub"]

DEFAULT_BUDGET = 8_000_000
"""Most x86 instructions of one run."""

CODE_BASE = 0xFFFF_FFFF_C000_0000
"""Where executable memory begins: the module area of Linux, within reach of calls into the kernel's text."""
_STUBS = CODE_BASE - 0x100_0000
_PAGE = 4096
_STUB_SIZE = 16
_STUB = b"\xf4\xc3"  # hlt; ret
_RETURN = _STUBS + _PAGE - _STUB_SIZE
_CODE_SIZE = 1 << 20
_LARGEST_CODE = 1 << 28

_ARGUMENTS = (x86.UC_X86_REG_RDI, x86.UC_X86_REG_RSI, x86.UC_X86_REG_RDX, x86.UC_X86_REG_RCX, x86.UC_X86_REG_R8)
_CLEARED = (
    *(x86.UC_X86_REG_RAX, x86.UC_X86_REG_RDX, x86.UC_X86_REG_RCX, x86.UC_X86_REG_R8, x86.UC_X86_REG_RBX),
    *(x86.UC_X86_REG_RBP, x86.UC_X86_REG_R9, x86.UC_X86_REG_R10, x86.UC_X86_REG_R11, x86.UC_X86_REG_R12),
    *(x86.UC_X86_REG_R13, x86.UC_X86_REG_R14, x86.UC_X86_REG_R15),
)
_MEMORY_ERRORS = frozenset(
    {
        unicorn.UC_ERR_READ_UNMAPPED,
        unicorn.UC_ERR_WRITE_UNMAPPED,
        unicorn.UC_ERR_READ_PROT,
        unicorn.UC_ERR_WRITE_PROT,
    }
)
_READ_EXEC = unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC
_WRITES = frozenset({unicorn.UC_MEM_WRITE_UNMAPPED, unicorn.UC_MEM_WRITE_PROT})


def helper_stub(number: int) -> int:
    """Address of a helper's stub."""
    if not 0 < number < (_RETURN - _STUBS) // _STUB_SIZE:
        raise JitError(f"there is no helper {number}.")
    return _STUBS + number * _STUB_SIZE


class Bench:
    """A CPU with executable memory and one stretch of guest memory.

    Args:
        memory: its window must begin and end at multiples of 4096; the CPU works on the same bytes.
    """

    def __init__(self, memory: WindowedMemory) -> None:
        base, view = memory.window()
        if base % _PAGE or len(view) % _PAGE:
            raise JitError("the bench's memory must be made of whole pages.")
        self.memory = memory
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self._uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        self._buffer = (ctypes.c_char * len(view)).from_buffer(view)  # keeps the bytes where they are
        read_write = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
        self._uc.mem_map_ptr(base, len(view), read_write, ctypes.addressof(self._buffer))
        self._uc.mem_map(_STUBS, _PAGE, _READ_EXEC)
        self._uc.mem_write(_STUBS, _STUB.ljust(_STUB_SIZE, b"\xcc") * (_PAGE // _STUB_SIZE))
        self._code_size = _CODE_SIZE
        self._uc.mem_map(CODE_BASE, _CODE_SIZE, _READ_EXEC)
        self._next = CODE_BASE + 8
        self._left = 0
        self._rings: set[int] = set()
        self._fault: MemoryFault | None = None
        self._uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._note_fault)
        counter = calibrate().counter
        if counter is None:
            self._counter = ctypes.c_uint64(0)
            self._uc.hook_add(unicorn.UC_HOOK_CODE, self._count)
        else:
            self._counter = ctypes.c_uint64.from_address(self._uc._uch.value + counter)

    def map_rings(self) -> None:
        """Let the CPU see the pages of rings that the memory has mapped since."""
        if not isinstance(self.memory, FlatMemory):
            return
        for page, offset in self.memory.ring_pages():
            if page not in self._rings:
                self._rings.add(page)
                read_write = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
                self._uc.mem_map_ptr(page, PAGE_SIZE, read_write, ctypes.addressof(self._buffer) + offset)

    def clear(self) -> None:
        """Forget all code, and the CPU's translations of it."""
        self._next = CODE_BASE + 8
        self._uc.ctl_flush_tb()

    @property
    def next_address(self) -> int:
        """Where the next program's code will be."""
        return self._next

    def load(self, jited: JitProgram) -> None:
        """Put code into executable memory; it must have been made for ``next_address``."""
        if jited.entry != self._next:
            raise JitError(f"the code was made for {jited.entry:#x}, but would be at {self._next:#x}.")
        end = jited.entry + jited.size
        while end > CODE_BASE + self._code_size:
            if self._code_size >= _LARGEST_CODE:
                raise JitError("the executable memory is full.")
            self._uc.mem_map(CODE_BASE + self._code_size, self._code_size, _READ_EXEC)
            self._code_size *= 2
        self._uc.mem_write(jited.entry, jited.memory())
        self._next = end + 8

    def run(self, jited: "JitedProgram", ctx: int, stack_top: int, r2: int) -> int:
        """Call a loaded program; see JitedProgram.run."""
        uc = self._uc
        for register in _CLEARED:
            uc.reg_write(register, 0)
        uc.reg_write(x86.UC_X86_REG_RDI, ctx)
        uc.reg_write(x86.UC_X86_REG_RSI, r2)
        # The call's return address goes where the prologue's push leaves R10 at stack_top.
        uc.reg_write(x86.UC_X86_REG_RSP, stack_top + 8)
        self.memory.write(stack_top + 8, _RETURN.to_bytes(8, "little"))
        self._left = jited.budget
        return self._until_return(jited, jited.code.entry)

    def call_back(self, jited: "JitedProgram", function: int, args: tuple[int, ...]) -> int:
        """Call one of the program's functions for a helper that it has called; R0."""
        image = jited.code.image_at(function)
        if image is None or image.address != function:
            raise MemoryFault(function, 8, write=False)
        uc = self._uc
        stack = int(uc.reg_read(x86.UC_X86_REG_RSP))
        for register, value in zip(_ARGUMENTS, args, strict=True):
            uc.reg_write(register, value)
        uc.reg_write(x86.UC_X86_REG_RSP, stack - 8)
        self.memory.write(stack - 8, _RETURN.to_bytes(8, "little"))
        result = self._until_return(jited, function)
        uc.reg_write(x86.UC_X86_REG_RSP, stack)
        return result

    def _until_return(self, jited: "JitedProgram", rip: int) -> int:
        """Execute until the code returns to where it was called from; R0."""
        while True:
            rip, used = self._go(jited, rip, self._left)
            self._left -= used
            stub = rip - 1
            if stub == _RETURN:
                return int(self._uc.reg_read(x86.UC_X86_REG_RAX))
            if self._left <= 0:
                raise BudgetExceeded(jited.insn_at(rip), jited.budget)
            if _STUBS <= stub < _RETURN:
                self._serve(jited, (stub - _STUBS) // _STUB_SIZE)

    def _go(self, jited: "JitedProgram", rip: int, count: int) -> tuple[int, int]:
        """Execute at most ``count`` instructions; where it stopped, and how many they were."""
        uc = self._uc
        self._fault = None
        self._counter.value = 0
        try:
            uc.emu_start(rip, 0, count=count)
        except unicorn.UcError as error:
            rip = int(uc.reg_read(x86.UC_X86_REG_RIP))
            entry = jited.exception_at(rip)
            if entry is None or error.errno not in _MEMORY_ERRORS:
                self._give_up(jited, rip, error)
            uc.reg_write(getattr(x86, f"UC_X86_REG_{entry.register.upper()}"), 0)
            return rip + entry.size, max(1, min(self._counter.value, count))
        rip = int(uc.reg_read(x86.UC_X86_REG_RIP))
        stopped = _STUBS < rip <= _RETURN + 1
        return rip, min(self._counter.value, count) if stopped else count

    def _give_up(self, jited: "JitedProgram", rip: int, error: unicorn.UcError) -> NoReturn:
        insn = jited.insn_at(rip)
        if self._fault is not None:
            raise BpfFault(insn, self._fault) from None
        raise RunError(f"the processor stopped at {rip:#x}: {error}.", insn) from None

    def _serve(self, jited: "JitedProgram", number: int) -> None:
        uc = self._uc
        helper = CALLS[number]
        arguments = [int(uc.reg_read(register)) for register in _ARGUMENTS[: len(helper.args)]]
        try:
            result = jited.helpers.entry(helper)(jited.helpers, *arguments)
        except MemoryFault as fault:
            back = self.memory.read(int(uc.reg_read(x86.UC_X86_REG_RSP)), 8)
            raise BpfFault(jited.insn_at(int.from_bytes(back, "little") - 1), fault) from None
        for register in _ARGUMENTS:
            uc.reg_write(register, CLOBBERED)
        uc.reg_write(x86.UC_X86_REG_RAX, result & (1 << 64) - 1)

    def _note_fault(self, _: Any, access: int, address: int, size: int, value: int, __: Any) -> bool:
        self._fault = MemoryFault(address & (1 << 64) - 1, size, write=access in _WRITES)
        return False

    def _count(self, *_: Any) -> None:
        self._counter.value += 1


class JitedProgram:
    """A program with its machine code on a bench: BoundProgram's counterpart.

    Args:
        program: what to run.
        bench: where; the code is loaded at once.
        env: the machine around the program.
        budget: most x86 instructions of one run.
        around: sees every call of a helper; see HelperContext.
        stack_depth: bytes of stack of every function; 512 because nobody has checked how much it uses.
        config: the kernel and the CPU.
        random32: blind constants with these random numbers; None does not.
        from_cbpf: whether it is a converted classic filter, which the verifier has neither seen nor rewritten.

    Attributes:
        code: the machine code.
        origin: slot of ``code.insns`` -> slot of the program.
    """

    def __init__(
        self,
        program: Runnable,
        bench: Bench,
        env: Environment,
        budget: int = DEFAULT_BUDGET,
        around: Around | None = None,
        *,
        stack_depth: int = MAX_BPF_STACK,
        config: JitConfig = DEFAULT_CONFIG,
        random32: Callable[[], int] | None = None,
        from_cbpf: bool = False,
    ) -> None:
        if from_cbpf:
            insns, self.origin = program.resolved, tuple(range(len(program.resolved)))
        else:
            insns, self.origin = do_misc_fixups(program.resolved)
        if random32 is not None:
            fixed = self.origin
            insns, blinded = blind_constants(insns, random32)
            self.origin = tuple(fixed[slot] for slot in blinded)
        self.program = program
        self.bench = bench
        self.budget = budget
        self.code = jit_insns(
            insns,
            address=bench.next_address,
            call_address=helper_stub,
            stack_depth=stack_depth,
            from_cbpf=from_cbpf,
            config=config,
        )
        self.helpers = HelperContext(bench.memory, env, {m.address: m for m in program.used_maps}, around)
        self.helpers.on_callback = lambda function, args: bench.call_back(self, function, args)
        self._extable = {image.address + entry.offset: entry for image in self.code.images for entry in image.extable}
        bench.load(self.code)
        bench.map_rings()

    def run(self, ctx: int, stack_top: int, r2: int = 0) -> int:
        """Run to the end; R0 as an unsigned 64-bit number.

        Args:
            ctx: guest address of the context.
            stack_top: what R10 will be; the 16 bytes from there on are used as well.
            r2: what R2 starts with.

        Raises:
            BpfFault: memory that is not there.
            BudgetExceeded: more instructions than the budget.
            RunError: the processor cannot go on.
        """
        return self.bench.run(self, ctx, stack_top, r2)

    def insn_at(self, address: int) -> int:
        """Slot of the program whose code is at ``address``; a prologue counts as its function's first instruction."""
        image = self.code.image_at(address)
        if image is None:
            return 0
        slot = image.slot_at(address)
        return self.origin[image.start if slot is None else slot]

    def exception_at(self, address: int) -> ExtableEntry | None:
        """The exception table's entry for the load at ``address``."""
        return self._extable.get(address)
