"""Maps as the section ``.maps`` declares them: each is a struct whose members' *types* hold the numbers.

``int (*max_entries)[64]`` says 64, ``u32 *key`` says that the key is a u32, ``__array(values, ...)`` what is in a map
of maps or of programs. Follows what libbpf accepts: src/libbpf.c, parse_btf_map_def.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kprobesim.bpf.maps import MAP_TYPES, MapSpec
from kprobesim.bpf.object.elf import STT_FUNC, ElfObject, ElfSymbol, Relocation
from kprobesim.bpf.object.errors import ObjectError
from kprobesim.bpf.object.records import ObjectMap
from kprobesim.image import Btf, BtfKind, BtfMember, BtfType

__all__ = ["kernel_name", "read_maps"]

_BPF_OBJ_NAME_LEN = 16
_MAPS_OF_MAPS = ("array_of_maps", "hash_of_maps")
_POINTER = 8
_MAX_MAPS = 1024
_MAX_MEMBERS = 64


def kernel_name(name: str) -> str:
    """A name as the kernel takes it: at most 15 characters, what it does not allow replaced by underscores."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", name[: _BPF_OBJ_NAME_LEN - 1])


def read_maps(
    elf: ElfObject, btf: Btf | None, datasec: Mapping[str, BtfType]
) -> tuple[list[ObjectMap], dict[int, str]]:
    """The maps of ``.maps``.

    Args:
        elf: the file.
        btf: its types.
        datasec: the DATASECs by section name.

    Returns:
        The maps, and by offset in the section the name of the map that begins there.

    Raises:
        ObjectError: a definition that libbpf would refuse.
    """
    if "maps" in elf.by_name:
        raise ObjectError(
            f"{elf.name}: legacy map definitions in section 'maps' are not supported by libbpf v1.0+.",
            hint='Declare the map as a struct with __uint() and __type() members in SEC(".maps").',
        )
    section = elf.by_name.get(".maps")
    if section is None or section.index == 0:
        return [], {}
    if btf is None or ".maps" not in datasec:
        raise ObjectError(
            f"{elf.name}: section .maps is there, but no BTF describes it.", hint="Build it with clang -g."
        )
    symbols = {
        symbol.name: symbol for symbol in elf.symbols if symbol.section == section.index and symbol.type != STT_FUNC
    }
    relocations = sorted(elf.relocations(section), key=lambda relocation: relocation.offset)
    maps: list[ObjectMap] = []
    places: dict[int, str] = {}
    for variable in datasec[".maps"].variables:
        var = btf.type(variable.type_id)
        if var.kind is not BtfKind.VAR or var.name not in symbols:
            raise ObjectError(f"{elf.name}: .maps has a variable {var.name!r} that the symbols do not know.")
        if len(maps) >= _MAX_MAPS:
            raise ObjectError(f"{elf.name} has more than {_MAX_MAPS} maps.")
        offset = symbols[var.name].value
        definition = _Definition(elf.name, btf, var.name)
        made = definition.read(var.target)
        if places.setdefault(offset, made.name) != made.name:
            raise ObjectError(f"{elf.name}: the maps {places[offset]!r} and {made.name!r} are at the same place.")
        slots = _slots(elf.name, relocations, btf, var, symbols) if definition.values else {}
        maps.append(replace(made, slots=slots))
    return maps, places


class _Definition:
    """One map's struct; ``inner`` is for what ``values`` of a map of maps points to."""

    def __init__(self, file: str, btf: Btf, name: str, inner: bool = False) -> None:
        self.file = file
        self.btf = btf
        self.name = name
        self.is_inner = inner
        self.numbers: dict[str, int] = {}
        self.types: dict[str, int] = {}
        self.inner: MapSpec | None = None
        self.values = False

    def fail(self, problem: str, hint: str = "") -> ObjectError:
        return ObjectError(f"{self.file}: map '{self.name}': {problem}.", hint=hint)

    def read(self, type_id: int) -> ObjectMap:
        struct = self.btf.strip(type_id)
        if struct.kind is not BtfKind.STRUCT:
            raise self.fail(f"unexpected def kind {struct.kind.name.lower()}", "A map is declared as a struct.")
        if len(struct.members) > _MAX_MEMBERS:
            raise self.fail(f"has {len(struct.members)} fields, which is not sensible")
        for member in struct.members:
            self.member(member)
        if "type" not in self.numbers:
            raise self.fail("map type isn't specified", "Add __uint(type, BPF_MAP_TYPE_HASH).")
        number = self.numbers["type"]
        if not 0 < number < len(MAP_TYPES):
            raise self.fail(f"there is no map type {number} in Linux 6.1")
        kind = MAP_TYPES[number]
        if self.values and kind not in (*_MAPS_OF_MAPS, "prog_array"):
            raise self.fail("should be map-in-map or prog-array", "Other maps have no __array(values, ...).")
        if kind in _MAPS_OF_MAPS and self.values and self.inner is None:
            raise self.fail("map-in-map inner def isn't a struct")
        spec = MapSpec(
            kind, self.size("key"), self.size("value"), self.numbers.get("max_entries", 0),
            self.numbers.get("map_flags", 0), kernel_name(self.name),
        )  # fmt: skip
        return ObjectMap(
            self.name, _with_defaults(spec), ".maps", self.types.get("key", 0), self.types.get("value", 0),
            pinned=bool(self.numbers.get("pinning", 0)), inner=self.inner,
        )  # fmt: skip

    def size(self, what: str) -> int:
        return self.numbers.get(f"{what}_size", 0)

    def member(self, member: BtfMember) -> None:
        name = member.name
        if name in ("type", "max_entries", "map_flags", "numa_node", "map_extra", "key_size", "value_size", "pinning"):
            number = self.number(member)
            if self.numbers.setdefault(name, number) != number:
                raise self.fail(f"conflicting {name.replace('_', ' ')} {self.numbers[name]} != {number}")
            if name == "pinning" and self.is_inner:
                raise self.fail("inner def can't be pinned")
            if name == "pinning" and number not in (0, 1):
                raise self.fail(f"invalid pinning value {number}")
        elif name in ("key", "value"):
            self.typed(member)
        elif name == "values":
            self.array(member)
        else:
            raise self.fail(f"unknown field '{name}'", "Known are type, key, value, max_entries, map_flags and so on.")

    def pointee(self, member: BtfMember) -> BtfType:
        pointer = self.btf.strip(member.type_id)
        if pointer.kind is not BtfKind.PTR:
            raise self.fail(f"attr '{member.name}': expected PTR, got {pointer.kind.name}")
        return self.btf.type(pointer.target)

    def number(self, member: BtfMember) -> int:
        array = self.pointee(member)
        if array.kind is not BtfKind.ARRAY:
            raise self.fail(f"attr '{member.name}': expected ARRAY, got {array.kind.name}")
        return array.count

    def typed(self, member: BtfMember) -> None:
        target = self.pointee(member)
        size, name = self.btf.size_of(target.id), f"{member.name}_size"
        if self.numbers.setdefault(name, size) != size:
            raise self.fail(f"conflicting {member.name} size {self.numbers[name]} != {size}")
        self.types[member.name] = target.id

    def array(self, member: BtfMember) -> None:
        if self.is_inner:
            raise self.fail("multi-level inner maps not supported")
        array = self.btf.strip(member.type_id)
        if array.kind is not BtfKind.ARRAY or array.count:
            raise self.fail("'values' is not a zero-sized array", "Declare it by __array(values, ...).")
        pointer = self.btf.strip(array.target)
        if pointer.kind is not BtfKind.PTR:
            raise self.fail(f"'values' element def is not PTR, but {pointer.kind.name}")
        target = self.btf.strip(pointer.target)
        self.values = True
        self.numbers.setdefault("value_size", 4)
        if target.kind is BtfKind.STRUCT:
            self.inner = _Definition(self.file, self.btf, f"{self.name}.inner", inner=True).read(target.id).spec
        elif target.kind is not BtfKind.FUNC_PROTO:
            raise self.fail(f"'values' points to {target.kind.name}, neither a map nor a function")


def _with_defaults(spec: MapSpec) -> MapSpec:
    """What libbpf fills in by itself."""
    key, value, entries = spec.key_size, spec.value_size, spec.max_entries
    if spec.type == "perf_event_array":
        key, value = key or 4, value or 4
    if spec.type in ("prog_array", *_MAPS_OF_MAPS):
        value = value or 4
    return MapSpec(spec.type, key, value, entries, spec.flags, spec.name)


def _slots(
    file: str, relocations: Sequence[Relocation], btf: Btf, var: BtfType, maps: Mapping[str, ElfSymbol]
) -> dict[int, str]:
    """What ``.values = { [2] = &other }`` puts there: relocations within the variable."""
    struct, symbol = btf.strip(var.target), maps[var.name]
    start = symbol.value + next(
        (member.bit_offset // 8 for member in struct.members if member.name == "values"), 0
    )  # fmt: skip
    found: dict[int, str] = {}
    for relocation in relocations[bisect_left(relocations, start, key=lambda relocation: relocation.offset) :]:
        if relocation.offset >= symbol.value + symbol.size:
            break
        name = relocation.symbol.name
        if name not in maps and relocation.symbol.type != STT_FUNC:
            raise ObjectError(f"{file}: map '{var.name}': '{name}' is neither a map nor a program.")
        if (relocation.offset - start) % _POINTER:
            raise ObjectError(f"{file}: map '{var.name}': '{name}' is in the middle of a slot.")
        found[(relocation.offset - start) // _POINTER] = name
    return found
