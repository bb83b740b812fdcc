"""What an object file turns out to hold: maps, programs, types."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kprobesim.bpf.isa import Insn
from kprobesim.bpf.maps import MapSpec
from kprobesim.bpf.object.btf_ext import FuncInfo, LineInfo
from kprobesim.bpf.object.sections import Target
from kprobesim.image import Btf

__all__ = ["BpfObject", "Function", "ObjectMap", "ObjectProgram"]


@dataclass(frozen=True)
class ObjectMap:
    """A map that the object wants.

    Attributes:
        name: as the source has it; the kernel's, which is cut to 15 characters, is in ``spec``.
        spec: what BPF_MAP_CREATE is to be asked for.
        section: ``.maps``, or the section whose bytes are the map's only value.
        key_type, value_type: ids in the object's BTF; 0 for none.
        initial: the value of a map that stands for a data section; empty for others.
        frozen: whether user space gives up writing after that, as for ``.rodata``.
        pinned: whether the map is shared by its name (``LIBBPF_PIN_BY_NAME``).
        inner: for maps of maps, what the maps inside look like.
        slots: index -> name of the map or program that is put there before anything runs.
    """

    name: str
    spec: MapSpec
    section: str
    key_type: int = 0
    value_type: int = 0
    initial: bytes = field(default=b"", repr=False)
    frozen: bool = False
    pinned: bool = False
    inner: MapSpec | None = None
    slots: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Function:
    """One function of a program.

    Attributes:
        slot: where it begins.
        name: its name.
        type_id: its FUNC in the object's BTF; 0 for none.
        is_global: whether the verifier checks it by itself, for any arguments of the declared types.
    """

    slot: int
    name: str
    type_id: int
    is_global: bool


@dataclass(frozen=True)
class ObjectProgram:
    """A program, linked: its functions follow each other, its references to maps are numbers of ``BpfObject.maps``.

    Attributes:
        name: of its function.
        target: its type and where it belongs.
        insns: one entry per slot; maps are LDDWs of Pseudo.MAP_IDX and MAP_IDX_VALUE.
        functions: where each function begins, the program's own first.
        lines: the source lines, by slot.
        unresolved: slot of an instruction that needs something this kernel's types lack -> what that is.
        func_info: what the kernel is told of the functions; none if the compiler has told nothing.
    """

    name: str
    target: Target
    insns: tuple[Insn, ...]
    functions: tuple[Function, ...] = ()
    lines: tuple[LineInfo, ...] = ()
    unresolved: Mapping[int, str] = field(default_factory=dict)
    func_info: tuple[FuncInfo, ...] = ()

    @property
    def type(self) -> str:
        """Its program type, out of PROG_TYPES."""
        return self.target.type

    @property
    def source_lines(self) -> dict[int, str]:
        """Slot -> text of the source line that begins there, as the verifier's log shows it."""
        return {line.slot: line.text for line in self.lines}


@dataclass(frozen=True)
class BpfObject:
    """A loaded file.

    Attributes:
        name: the file's name up to its first dot, which names the maps of data sections.
        license: of the section ``license``; empty if there is none.
        maps: in the order of their numbers.
        programs: in the order of the file.
        btf: its types; None without ``.BTF``.
        btf_size: bytes of ``.BTF``.
        strings_size: bytes of the strings in it.
        kernel_btf: the kernel's types that it was relocated against; None if it was not.
    """

    name: str
    license: str
    maps: tuple[ObjectMap, ...]
    programs: tuple[ObjectProgram, ...]
    btf: Btf | None = None
    btf_size: int = 0
    strings_size: int = 0
    kernel_btf: Btf | None = None

    def program(self, name: str) -> ObjectProgram | None:
        """The program of a name."""
        return next((program for program in self.programs if program.name == name), None)
