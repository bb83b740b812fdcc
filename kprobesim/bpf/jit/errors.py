"""What goes wrong between BPF instructions and x86 code."""

from kprobesim.errors import KprobesimError

__all__ = ["JitError"]


class JitError(KprobesimError):
    """The JIT gives up on a program, where Linux would fall back to its interpreter.

    Args:
        message: what is wrong.
        insn: slot of the instruction at fault, or None.
        hint: what to try.
    """

    def __init__(self, message: str, insn: int | None = None, *, hint: str = "") -> None:
        super().__init__(message if insn is None else f"insn {insn}: {message}", hint=hint)
        self.insn = insn
