"""What joins probes and BPF, and shows them as Linux does."""

from typing import TYPE_CHECKING

from kprobesim.on_demand import on_demand

if TYPE_CHECKING:
    from kprobesim.tracing.bpf import Attachment, BpfPrograms
    from kprobesim.tracing.bpf_jit import JitedCode
    from kprobesim.tracing.bpf_runs import RunningProgram
    from kprobesim.tracing.filters import CompiledFilter
    from kprobesim.tracing.front import Tracing
    from kprobesim.tracing.kinds import BPF_KINDS, FILTER_KINDS, TRACING_KINDS, TRAMPOLINE_KINDS
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "kprobesim.tracing.bpf": ["Attachment", "BpfPrograms"],
            "kprobesim.tracing.bpf_jit": ["JitedCode"],
            "kprobesim.tracing.bpf_runs": ["RunningProgram"],
            "kprobesim.tracing.filters": ["CompiledFilter"],
            "kprobesim.tracing.front": ["Tracing"],
            "kprobesim.tracing.kinds": ["BPF_KINDS", "FILTER_KINDS", "TRACING_KINDS", "TRAMPOLINE_KINDS"],
        },
    )

__all__ = [
    "BPF_KINDS",
    "FILTER_KINDS",
    "TRACING_KINDS",
    "TRAMPOLINE_KINDS",
    "Attachment",
    "BpfPrograms",
    "CompiledFilter",
    "JitedCode",
    "RunningProgram",
    "Tracing",
]
