"""What a kernel image is: ELF, kallsyms, DWARF lines, BTF types and instruction decoding.

Open one with :func:`open_image`, then build what you need from it: ``Kallsyms.from_image(image)``,
``read_tables(image, kallsyms)``, ``LineTable(image)``, ``DebugFunctions(image)``, ``Btf.from_image(image)``.
Nothing here knows a running machine.
"""

from kprobesim.image.btf import Btf, BtfKind, BtfMember, BtfType, Enumerator, MemberPlace, Parameter, Variable
from kprobesim.image.decode import (
    MAX_INSN_SIZE,
    Boundaries,
    DecodeError,
    Instruction,
    decode_one,
    decode_range,
    instruction_boundaries,
)
from kprobesim.image.elf import KernelImage, Section, Segment
from kprobesim.image.encoding import BranchKind, Encoding, OpcodeMap
from kprobesim.image.kallsyms import Kallsyms, Symbol, SymbolOverlay, SymbolTable
from kprobesim.image.lines import LineRow, LineTable, SourceLine
from kprobesim.image.parameters import DebugFunctions, DebugParameter
from kprobesim.image.registry import ImageInfo, find_image, kernels_folder, list_images, open_image
from kprobesim.image.sections import ExceptionEntry, JumpEntry, KernelTables, Range, read_tables
from kprobesim.image.source import SourceFolder

__all__ = [
    "MAX_INSN_SIZE",
    "Boundaries",
    "BranchKind",
    "Btf",
    "BtfKind",
    "BtfMember",
    "BtfType",
    "DebugFunctions",
    "DebugParameter",
    "DecodeError",
    "Encoding",
    "Enumerator",
    "ExceptionEntry",
    "ImageInfo",
    "Instruction",
    "JumpEntry",
    "Kallsyms",
    "KernelImage",
    "KernelTables",
    "LineRow",
    "LineTable",
    "MemberPlace",
    "OpcodeMap",
    "Parameter",
    "Range",
    "Section",
    "Segment",
    "SourceFolder",
    "SourceLine",
    "Symbol",
    "SymbolOverlay",
    "SymbolTable",
    "Variable",
    "decode_one",
    "decode_range",
    "find_image",
    "instruction_boundaries",
    "kernels_folder",
    "list_images",
    "open_image",
    "read_tables",
]
