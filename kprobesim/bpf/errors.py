"""What goes wrong with a BPF program, by the moment it goes wrong.

KprobesimError
├── BadInput
│   └── AsmError       a line of assembly text that makes no sense
├── LinuxError
│   └── LoadError      bpf(BPF_PROG_LOAD) or bpf(BPF_MAP_CREATE) would refuse it
├── MemoryFault        an access outside the guest memory that BPF may touch
└── RunError           a running program cannot go on
    ├── BpfFault       ... because it touched memory that is not there
    └── BudgetExceeded ... because it ran for too many instructions
"""

from kprobesim.errors import BadInput, KprobesimError, LinuxError
from kprobesim.linux_errno import Errno

__all__ = ["AsmError", "BpfFault", "BudgetExceeded", "LoadError", "MemoryFault", "RunError"]


class AsmError(BadInput):
    """A line of assembly text that makes no sense.

    Args:
        message: what is wrong.
        line: line number, from 1.
        column: column number, from 1.
        text: the whole line.
        expected: what could stand there, or nothing.
        hint: what to try, for example a near name.
    """

    def __init__(self, message: str, *, line: int, column: int, text: str, expected: str = "", hint: str = "") -> None:
        super().__init__(f"line {line}, column {column}: {message}", hint=hint)
        self.problem = message
        self.line = line
        self.column = column
        self.text = text
        self.expected = expected

    def __str__(self) -> str:
        parts = [f"line {self.line}, column {self.column}: {self.problem}."]
        if self.expected:
            parts.append(f"Expected {self.expected}.")
        if self.hint:
            parts.append(self.hint)
        return f"{' '.join(parts)}\n  {self.text}\n  {' ' * (self.column - 1)}^"


class LoadError(LinuxError):
    """The kernel would refuse this program or map.

    Args:
        errno: what bpf(2) returns.
        message: the verifier's own text where it has one; empty texts are those that Linux refuses in silence.
        insn: index of the 8-byte slot at fault, or None where it is the program as a whole.
        hint: the explanation.
    """

    def __init__(self, errno: Errno, message: str, *, insn: int | None = None, hint: str = "") -> None:
        super().__init__(errno, message, hint=hint)
        self.insn = insn

    def __str__(self) -> str:
        said = ". ".join(part for part in (self.message, self.hint) if part)
        return f"{self.errno.text} (-{self.errno.name}): {said}"


class MemoryFault(KprobesimError):
    """An access outside the guest memory that BPF may touch.

    Args:
        addr: guest address.
        size: bytes wanted.
        write: whether it was a store.
    """

    def __init__(self, addr: int, size: int, write: bool) -> None:
        super().__init__(f"{'write' if write else 'read'} of {size} bytes at {addr:#x}, where no memory is.")
        self.addr = addr
        self.size = size
        self.write = write


class RunError(KprobesimError):
    """A running program cannot go on; ``insn`` is the index of the slot it stopped at."""

    def __init__(self, message: str, insn: int, *, hint: str = "") -> None:
        super().__init__(f"insn {insn}: {message}", hint=hint)
        self.insn = insn


class BpfFault(RunError):
    """A load, a store or a helper touched memory that is not there.

    The verifier exists so that this cannot happen in Linux; it can here, because programs may be run unverified.
    """

    def __init__(self, insn: int, fault: MemoryFault) -> None:
        super().__init__(fault.message, insn, hint="The verifier would have refused this program.")
        self.addr = fault.addr
        self.size = fault.size
        self.write = fault.write


class BudgetExceeded(RunError):
    """The program ran for more instructions than it was given: most likely a loop without end."""

    def __init__(self, insn: int, budget: int) -> None:
        super().__init__(
            f"the program ran for more than {budget} instructions.",
            insn,
            hint="It may loop for ever: the verifier would have said so.",
        )
        self.budget = budget
