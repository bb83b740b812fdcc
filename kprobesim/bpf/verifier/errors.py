"""How a rejection travels: an exception with errno, instruction and the log's last sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobesim.bpf.errors import LoadError
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.asm import Assembly

__all__ = ["Rejected"]


class Rejected(LoadError):
    """The verifier refuses the program.

    Args:
        errno: what bpf(2) returns.
        message: the last line of the log, or nothing where Linux refuses in silence.
        insn: the instruction that was being checked, or None for the program as a whole.
        log: the whole log, filled in at the end.
        assembly: the refused program, where it was written as text; filled in by who has it.
        text: that text.
    """

    def __init__(self, errno: Errno, message: str, *, insn: int | None = None, hint: str = "") -> None:
        super().__init__(errno, message, insn=insn, hint=hint)
        self.log = ""
        self.assembly: Assembly | None = None
        self.text = ""
