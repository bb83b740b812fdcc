"""From the bytes of a `.o` file to programs and maps, as libbpf's bpf_object__open and bpf_object__load do it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kprobesim.bpf.isa import Insn, Pseudo, lddw
from kprobesim.bpf.object.btf_ext import BtfExt
from kprobesim.bpf.object.code import Code, read_code
from kprobesim.bpf.object.core_relo import CoreRelocator
from kprobesim.bpf.object.data_sections import data_map, is_data, kconfig_map
from kprobesim.bpf.object.elf import STB_WEAK, ElfObject, ElfSymbol
from kprobesim.bpf.object.errors import ObjectError
from kprobesim.bpf.object.link import Linker
from kprobesim.bpf.object.map_defs import read_maps
from kprobesim.bpf.object.records import BpfObject, ObjectMap, ObjectProgram
from kprobesim.bpf.object.sections import section_target
from kprobesim.errors import ImageError
from kprobesim.image import Btf, BtfKind, BtfType
from kprobesim.image.btf import HEADER

__all__ = ["Kernel", "load_object", "read_object"]

_MAX_LICENSE = 63
_MAX_FILE = 4 << 20
_MAX_PROGRAMS = 1024


@dataclass(frozen=True, slots=True)
class Kernel:
    """What an object is relocated against.

    Attributes:
        btf: the kernel's types.
        address_of: address of a kernel symbol; None if there is none.
    """

    btf: Btf
    address_of: Callable[[str], int | None]


def read_object(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        ObjectError: it cannot be read, or is too large.
    """
    try:
        if path.stat().st_size > _MAX_FILE or not path.is_file():
            raise ObjectError(f"{path} is no BPF object, or larger than {_MAX_FILE >> 20} MiB.")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ObjectError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def load_object(contents: bytes, name: str, kernel: Kernel | None = None) -> BpfObject:
    """Read an object and link its programs.

    Args:
        contents: the file's bytes; nothing in them is trusted.
        name: the file's name, for messages and for the names of its data maps.
        kernel: to relocate against; None leaves the compiler's own offsets, and no extern resolves.

    Raises:
        ObjectError: what libbpf would refuse, in one sentence.
    """
    try:
        return _Loading(contents, Path(name).name, kernel).load()
    except ImageError as error:
        # The types are read by the kernel images' reader.
        raise ObjectError(error.message, hint=error.hint) from None


class _Loading:
    def __init__(self, contents: bytes, file: str, kernel: Kernel | None) -> None:
        self.elf = ElfObject.parse(contents, file)
        self.file = file
        self.name = file.split(".")[0] or "object"
        self.kernel = kernel
        section = self.elf.by_name.get(".BTF")
        self.btf_data = section.data if section and section.index else b""
        self.btf = _place_variables(Btf.parse(self.btf_data, f"{file}: .BTF"), self.elf) if self.btf_data else None
        self.ext = self._read_ext()
        self.datasecs = {entry.name: entry for entry in self.btf or () if entry.kind is BtfKind.DATASEC}
        self.kconfig: dict[str, int] = {}
        self.kconfig_number = -1

    def _read_ext(self) -> BtfExt:
        section = self.elf.by_name.get(".BTF.ext")
        if self.btf is None or section is None or not section.data:
            return BtfExt()
        return BtfExt.parse(section.data, self.btf_data, self.file)

    def load(self) -> BpfObject:
        maps, map_numbers, data_numbers = self._maps()
        relocator = None
        if self.btf is not None and self.kernel is not None and self.ext.relocations:
            relocator = CoreRelocator(self.btf, self.kernel.btf, self.file)
        code = read_code(self.elf, self.ext, relocator, map_numbers, data_numbers, self._extern)
        programs = self._programs(code)
        self._check_slots(maps, {program.name for program in code.programs})
        strings = HEADER.unpack_from(self.btf_data)[-1] if self.btf_data else 0
        kernel = self.kernel.btf if self.kernel else None
        return BpfObject(
            self.name, self._license(), tuple(maps), programs, self.btf, len(self.btf_data), strings, kernel
        )

    def _license(self) -> str:
        section = self.elf.by_name.get("license")
        return section.data.split(b"\0")[0][:_MAX_LICENSE].decode("latin-1") if section else ""

    def _maps(self) -> tuple[list[ObjectMap], dict[tuple[int, int], int], dict[int, int]]:
        maps, places = read_maps(self.elf, self.btf, self.datasecs)
        numbers = {made.name: number for number, made in enumerate(maps)}
        section = self.elf.by_name.get(".maps")
        map_numbers = {(section.index, offset): numbers[name] for offset, name in places.items()} if section else {}
        data_numbers = {}
        room = _MAX_FILE
        for found in self.elf.sections:
            if is_data(found) and found.size:
                room -= found.size
                if room < 0:
                    raise ObjectError(f"{self.file} has more than {_MAX_FILE >> 20} MiB of variables.")
                data_numbers[found.index] = len(maps)
                maps.append(data_map(self.name, found, self.datasecs.get(found.name), self.btf))
        if self.btf is not None and ".kconfig" in self.datasecs:
            self.kconfig_number = len(maps)
            made, self.kconfig = kconfig_map(self.elf, self.name, self.btf, self.datasecs[".kconfig"])
            maps.append(made)
        return maps, map_numbers, data_numbers

    def _check_slots(self, maps: list[ObjectMap], programs: set[str]) -> None:
        known = programs | {made.name for made in maps}
        for made in maps:
            for name in made.slots.values():
                if name not in known:
                    raise ObjectError(f"{self.file}: map '{made.name}' holds '{name}', which is not there.")

    def _programs(self, code: Code) -> tuple[ObjectProgram, ...]:
        linker = Linker(code, self.ext, self.file)
        if len(code.programs) > _MAX_PROGRAMS:
            raise ObjectError(f"{self.file} has more than {_MAX_PROGRAMS} programs.")
        made = []
        for function in code.programs:
            target = section_target(function.section.name)
            if target is None:
                raise ObjectError(
                    f"{self.file}: prog '{function.name}': missing BPF prog type, check ELF section name "
                    f"'{function.section.name}'.",
                    hint='For example SEC("kprobe/vfs_read").',
                )
            made.append(linker.link(function, target))
        return tuple(made)

    # What the kernel provides

    def _extern(self, symbol: ElfSymbol, slot: int, insn: Insn) -> tuple[Insn, ...]:
        name = symbol.name
        if name in self.kconfig:
            first, second = lddw(insn.dst, 0, Pseudo.MAP_IDX_VALUE)
            return first._replace(imm=self.kconfig_number), second._replace(imm=self.kconfig[name])
        if self.btf is None:
            raise ObjectError(f"{self.file}: extern '{name}' needs BTF.", hint="Build it with clang -g.")
        entry = self.btf.find(name, BtfKind.VAR, BtfKind.FUNC)
        if entry is None:
            raise ObjectError(
                f"{self.file}: failed to find BTF for extern '{name}'.",
                hint="Is it a function that was never defined? A kernel symbol is declared with __ksym.",
            )
        weak = symbol.binding == STB_WEAK
        return self._kfunc(entry, insn, weak) if entry.kind is BtfKind.FUNC else self._ksym(entry, insn, weak)

    def _kernel_type(self, name: str, kind: BtfKind) -> int:
        found = self.kernel.btf.find(name, kind) if self.kernel else None
        return found.id if found else 0

    def _kfunc(self, entry: BtfType, insn: Insn, weak: bool) -> tuple[Insn, ...]:
        number = self._kernel_type(entry.name, BtfKind.FUNC)
        if not number and not weak:
            raise ObjectError(f"{self.file}: extern (func ksym) '{entry.name}': not found in kernel or module BTFs.")
        return (insn._replace(src=2, off=0, imm=number),)

    def _ksym(self, entry: BtfType, insn: Insn, weak: bool) -> tuple[Insn, ...]:
        assert self.btf is not None
        if self.btf.strip(entry.target).kind is BtfKind.VOID:
            address = self.kernel.address_of(entry.name) if self.kernel else None
            if address is None and not weak:
                raise ObjectError(f"{self.file}: extern (ksym) '{entry.name}': not found in kallsyms.")
            return lddw(insn.dst, address or 0)
        number = self._kernel_type(entry.name, BtfKind.VAR)
        if not number and not weak:
            raise ObjectError(
                f"{self.file}: extern (var ksym) '{entry.name}': not found in kernel BTF.",
                hint="Declared as `extern const void NAME __ksym` it is looked up in kallsyms instead.",
            )
        return lddw(insn.dst, number, Pseudo.BTF_ID if number else Pseudo.VALUE)


def _place_variables(btf: Btf, elf: ElfObject) -> Btf:
    """The types with sizes of sections and places of variables, which the compiler leaves to the symbols."""
    places = {(symbol.section, symbol.name): symbol.value for symbol in elf.symbols if symbol.section}
    types = list(btf.types)
    for entry in btf:
        section = elf.by_name.get(entry.name)
        if entry.kind is not BtfKind.DATASEC or section is None:
            continue
        variables = [
            replace(variable, offset=places.get((section.index, btf.type(variable.type_id).name), variable.offset))
            for variable in entry.variables
        ]
        variables.sort(key=lambda variable: variable.offset)
        types[entry.id] = replace(entry, size=section.size, variables=tuple(variables))
    return Btf(tuple(types))
