"""Objects as clang makes them (`clang -g -O2 -target bpf -c`): maps, programs and types out of an ELF file.

Everything in such a file comes from strangers. Whatever is wrong with it ends in an ObjectError, in bounded time and
memory. What libbpf does in user space happens here: relocation, CO-RE, the maps of global variables.
"""

from kprobesim.bpf.object.btf_ext import LineInfo
from kprobesim.bpf.object.core_relo import POISON
from kprobesim.bpf.object.errors import ObjectError
from kprobesim.bpf.object.load import Kernel, load_object, read_object
from kprobesim.bpf.object.records import BpfObject, Function, ObjectMap, ObjectProgram
from kprobesim.bpf.object.sections import AttachKind, Target, section_target

__all__ = [
    "POISON",
    "AttachKind",
    "BpfObject",
    "Function",
    "Kernel",
    "LineInfo",
    "ObjectError",
    "ObjectMap",
    "ObjectProgram",
    "Target",
    "load_object",
    "read_object",
    "section_target",
]
