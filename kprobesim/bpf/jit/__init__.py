"""The x86-64 JIT: the bytes that Linux 6.1 makes of BPF instructions.

    fixed = do_misc_fixups(program.resolved)
    jited = jit_insns(fixed.insns, address=0xffffffffc0000008, call_address=addresses.__getitem__)
    jited.memory()                   # what to put at jited.entry
    print(listing_text(jited))       # BPF and x86, side by side

``kprobesim.bpf.jit.bench`` runs the result on a CPU of its own. Follows Linux arch/x86/net/bpf_jit_comp.c.
"""

from kprobesim.bpf.jit.blinding import blind_constants
from kprobesim.bpf.jit.config import DEFAULT_CONFIG, MAX_TAIL_CALL_CNT, JitConfig
from kprobesim.bpf.jit.errors import JitError
from kprobesim.bpf.jit.fixups import Rewritten, do_misc_fixups
from kprobesim.bpf.jit.image import CallSite, ExtableEntry, JitImage, SiteKind, TailCallPoke
from kprobesim.bpf.jit.listing import Group, listing, listing_text
from kprobesim.bpf.jit.lookups import ArrayLookup, array_lookups
from kprobesim.bpf.jit.program import CHUNK_SIZE, JitProgram, jit_insns
from kprobesim.bpf.jit.registers import REG2HEX, X86_NAMES
from kprobesim.bpf.jit.stack import MAX_BPF_STACK, estimate_stack_depth

__all__ = [
    "CHUNK_SIZE",
    "DEFAULT_CONFIG",
    "MAX_BPF_STACK",
    "MAX_TAIL_CALL_CNT",
    "REG2HEX",
    "X86_NAMES",
    "ArrayLookup",
    "CallSite",
    "ExtableEntry",
    "Group",
    "JitConfig",
    "JitError",
    "JitImage",
    "JitProgram",
    "Rewritten",
    "SiteKind",
    "TailCallPoke",
    "array_lookups",
    "blind_constants",
    "do_misc_fixups",
    "estimate_stack_depth",
    "jit_insns",
    "listing",
    "listing_text",
]
