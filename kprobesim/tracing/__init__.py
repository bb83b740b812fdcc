"""What joins probes and BPF, and shows them as Linux does."""

from kprobesim.tracing.bpf import Attachment, BpfPrograms
from kprobesim.tracing.bpf_jit import JitedCode
from kprobesim.tracing.bpf_runs import RunningProgram
from kprobesim.tracing.front import Tracing
from kprobesim.tracing.kinds import BPF_KINDS, FILTER_KINDS, TRACING_KINDS, TRAMPOLINE_KINDS

__all__ = [
    "BPF_KINDS",
    "FILTER_KINDS",
    "TRACING_KINDS",
    "TRAMPOLINE_KINDS",
    "Attachment",
    "BpfPrograms",
    "JitedCode",
    "RunningProgram",
    "Tracing",
]
