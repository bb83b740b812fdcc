"""The verifier of Linux 6.1: may this program be loaded, and if not, what does the kernel say.

A round through it::

    verdict = verify(insns, "kprobe", {3: parse_map_spec("HASH key=8 val=16 max=1")}, log_level=LEVEL2)
    print(verdict.log)
    if verdict.rejected:
        print(verdict.rejected.insn, verdict.rejected.message)

``verify`` walks every path of the program with what it knows of each register and stack slot; ``verdict.walk()`` is
that walk as data, ``explain.explain`` says in people's words why a program is refused.
"""

from kprobesim.bpf.verifier.answer import verify_request
from kprobesim.bpf.verifier.errors import Rejected
from kprobesim.bpf.verifier.func_info import ProgramBtf
from kprobesim.bpf.verifier.functions import FunctionType
from kprobesim.bpf.verifier.kernel_btf import FunctionFacts
from kprobesim.bpf.verifier.log import LEVEL1, LEVEL2, STATS
from kprobesim.bpf.verifier.map_meta import Kptr, MapMeta, map_meta_of, parse_map_spec
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.source import verify_assembly
from kprobesim.bpf.verifier.tnum import Tnum
from kprobesim.bpf.verifier.verifier import DEFAULT_LOG_SIZE, Stats, Verdict, verify
from kprobesim.bpf.verifier.visits import FrameRecord, PlaceRecord, Visit
from kprobesim.bpf.verifier.walk import Origin, Walk

__all__ = [
    "DEFAULT_LOG_SIZE",
    "LEVEL1",
    "LEVEL2",
    "STATS",
    "FrameRecord",
    "FunctionFacts",
    "FunctionType",
    "Kptr",
    "MapMeta",
    "Origin",
    "PlaceRecord",
    "ProgramBtf",
    "Reg",
    "Rejected",
    "Stats",
    "Tnum",
    "Verdict",
    "Visit",
    "Walk",
    "map_meta_of",
    "parse_map_spec",
    "verify",
    "verify_assembly",
    "verify_request",
]
