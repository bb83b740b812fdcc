"""Global variables: each section ``.data``, ``.rodata``, ``.bss`` becomes an array map of one value.

Programs reach the variables by the address of that value (Pseudo.MAP_VALUE). The section ``.kconfig`` is made here of
what the kernel says of itself. Follows libbpf src/libbpf.c: bpf_object__init_global_data_maps.
"""

from collections.abc import Mapping

from kprobesim.bpf.maps import MapSpec
from kprobesim.bpf.object.elf import STB_WEAK, ElfObject, ElfSection
from kprobesim.bpf.object.errors import ObjectError
from kprobesim.bpf.object.map_defs import kernel_name
from kprobesim.bpf.object.records import ObjectMap
from kprobesim.image import Btf, BtfKind, BtfType

__all__ = ["KCONFIG", "data_map", "is_data", "kconfig_map"]

_F_RDONLY_PROG = 1 << 7
_F_MMAPABLE = 1 << 10
_NAME_LEN = 15
_STATIC = 0
_MAX_KCONFIG = 1 << 16

KCONFIG: Mapping[str, int] = {
    "LINUX_KERNEL_VERSION": 6 << 16 | 1 << 8,
    "LINUX_HAS_SYSCALL_WRAPPER": 1,
    "LINUX_HAS_BPF_COOKIE": 1,
}
"""What ``extern int NAME __kconfig`` can ask for; a kernel here has no configuration file."""


def is_data(section: ElfSection) -> bool:
    """Whether a section holds variables of the program."""
    plain = section.name.split(".")[1:2]
    return section.index > 0 and plain in (["data"], ["rodata"], ["bss"]) and section.name.startswith(".")


def _map_name(object_name: str, section: str) -> str:
    if "." in section[1:]:
        return kernel_name(section)
    suffix = max(len(".rodata"), len(section))
    return kernel_name(object_name[: max(0, _NAME_LEN - suffix)] + section)


def data_map(object_name: str, section: ElfSection, datasec: BtfType | None, btf: Btf | None) -> ObjectMap:
    """The map of one section.

    Addresses of other things that a variable is initialised with stay what the compiler put there, as with libbpf,
    which does not relocate data.

    Args:
        object_name: which the map's name begins with.
        section: not empty.
        datasec: its BTF, if there is.
        btf: the object's types.
    """
    read_only = section.name.split(".")[1] == "rodata"
    visible = btf is not None and datasec is not None and any(
        btf.type(variable.type_id).linkage != _STATIC for variable in datasec.variables
    )  # fmt: skip
    flags = (_F_RDONLY_PROG if read_only else 0) | (_F_MMAPABLE if visible else 0)
    spec = MapSpec("array", 4, section.size, 1, flags, _map_name(object_name, section.name))
    initial = bytes(section.size) if section.is_nobits else section.data
    return ObjectMap(
        section.name, spec, section.name, value_type=datasec.id if datasec else 0, initial=initial, frozen=read_only
    )


def kconfig_map(elf: ElfObject, object_name: str, btf: Btf, datasec: BtfType) -> tuple[ObjectMap, dict[str, int]]:
    """The map of ``.kconfig``, and where in it each variable is.

    Raises:
        ObjectError: the object needs a setting that is not known, and has not declared it weak.
    """
    weak = {symbol.name for symbol in elf.symbols if symbol.binding == STB_WEAK}
    value = bytearray()
    places: dict[str, int] = {}
    for variable in datasec.variables:
        var = btf.type(variable.type_id)
        size = btf.size_of(var.target)
        if var.kind is not BtfKind.VAR or not 0 < size <= 4096:
            raise ObjectError(f"{elf.name}: extern (kcfg) '{var.name}' has a type that cannot be filled in.")
        if var.name not in KCONFIG and var.name not in weak:
            raise ObjectError(
                f"{elf.name}: extern (kcfg) '{var.name}': not found.",
                hint=f"Known are {', '.join(KCONFIG)}; __weak makes an unknown one 0.",
            )
        number = KCONFIG.get(var.name, 0)
        if number >> min(8 * size, 64):
            raise ObjectError(f"{elf.name}: extern (kcfg) '{var.name}': {number} does not fit {size} bytes.")
        value += bytes(-len(value) % min(size, 8))
        places[var.name] = len(value)
        value += number.to_bytes(size, "little")
        if len(value) > _MAX_KCONFIG:
            raise ObjectError(f"{elf.name}: section .kconfig is larger than {_MAX_KCONFIG} bytes.")
    spec = MapSpec("array", 4, max(len(value), 1), 1, _F_RDONLY_PROG, _map_name(object_name, ".kconfig"))
    made = ObjectMap(
        ".kconfig", spec, ".kconfig", value_type=datasec.id, initial=bytes(value) or b"\0", frozen=True
    )  # fmt: skip
    return made, places
