"""A classic filter that the kernel has taken in: checked, rewritten where seccomp wants it, converted to eBPF."""

from collections.abc import Sequence
from enum import Enum

from kprobesim.bpf.classic.check import bpf_check_classic
from kprobesim.bpf.classic.convert import Converted, bpf_convert_filter
from kprobesim.bpf.classic.isa import SockFilter
from kprobesim.bpf.classic.seccomp import seccomp_check_filter
from kprobesim.bpf.isa import Insn
from kprobesim.bpf.maps import BpfMap

__all__ = ["Filter", "FilterMode"]


class FilterMode(Enum):
    """What the filter is attached to, which decides on the rules."""

    SOCKET = "socket"
    SECCOMP = "seccomp"


class Filter:
    """A filter that may run.

    Args:
        insns: the filter as the user gave it.
        mode: what it is for.

    Attributes:
        insns: as given; this is what SO_GET_FILTER gives back.
        checked: as the kernel runs it: seccomp has rewritten its loads.
        converted: the eBPF made of it.

    Raises:
        LoadError: EINVAL, where setsockopt(SO_ATTACH_FILTER) or seccomp(SECCOMP_SET_MODE_FILTER) would say so.
    """

    def __init__(self, insns: Sequence[SockFilter], mode: FilterMode = FilterMode.SOCKET) -> None:
        bpf_check_classic(insns)
        self.mode = mode
        self.insns = tuple(insns)
        self.checked = seccomp_check_filter(insns) if mode is FilterMode.SECCOMP else self.insns
        self.converted: Converted = bpf_convert_filter(self.checked)

    @property
    def resolved(self) -> tuple[Insn, ...]:
        """The eBPF, as BoundProgram and JitedProgram want it."""
        return self.converted.insns

    @property
    def used_maps(self) -> tuple[BpfMap, ...]:
        """None: classic filters know no maps."""
        return ()
