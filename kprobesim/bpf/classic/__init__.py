"""Classic BPF: the packet filter that BPF grew from, and seccomp's filters.

A round through it::

    insns = read_filter(text)                      # bpf_asm source, or what tcpdump -d, -dd, -ddd prints
    program = Filter(insns)                        # checked and converted to eBPF; LoadError as the kernel says it
    execution = Execution(program, Skb(frame), BenchEnvironment())
    while not execution.finished:
        print(execution.step())                    # A, X, M[] and the bytes that were looked at
    FilterBench(program, BenchEnvironment(), Engine.JIT).run(Skb(frame))
    print(side_by_side_text(program))              # of kprobesim.bpf.classic.listing: classic, eBPF, x86-64

What a filter for a socket or for seccomp may be is decided by ``Filter`` alone: whoever lets one into a kernel builds
it, keeps ``insns`` for SO_GET_FILTER, and runs ``resolved`` with R1 at a struct sk_buff or seccomp_data.
"""

from kprobesim.bpf.classic.asm import assemble_filter
from kprobesim.bpf.classic.bench import Engine, FilterBench
from kprobesim.bpf.classic.check import bpf_check_classic, chk_code_allowed
from kprobesim.bpf.classic.convert import Converted, bpf_convert_filter
from kprobesim.bpf.classic.disasm import asm_listing, image, image_listing
from kprobesim.bpf.classic.forms import FORMS, format_filter, read_filter
from kprobesim.bpf.classic.interpreter import Execution, Read, State, run_filter
from kprobesim.bpf.classic.isa import (
    BPF_MAXINSNS,
    BPF_MEMWORDS,
    SKF_AD_OFF,
    SKF_LL_OFF,
    SKF_NET_OFF,
    Ancillary,
    Code,
    SockFilter,
    decode_filter,
    encode_filter,
)
from kprobesim.bpf.classic.program import Filter, FilterMode
from kprobesim.bpf.classic.seccomp import SECCOMP_DATA_SIZE, SeccompData, seccomp_check_filter

__all__ = [
    "BPF_MAXINSNS",
    "BPF_MEMWORDS",
    "FORMS",
    "SECCOMP_DATA_SIZE",
    "SKF_AD_OFF",
    "SKF_LL_OFF",
    "SKF_NET_OFF",
    "Ancillary",
    "Code",
    "Converted",
    "Engine",
    "Execution",
    "Filter",
    "FilterBench",
    "FilterMode",
    "Read",
    "SeccompData",
    "SockFilter",
    "State",
    "asm_listing",
    "assemble_filter",
    "bpf_check_classic",
    "bpf_convert_filter",
    "chk_code_allowed",
    "decode_filter",
    "encode_filter",
    "format_filter",
    "image",
    "image_listing",
    "read_filter",
    "run_filter",
    "seccomp_check_filter",
]
