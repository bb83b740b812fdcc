"""The built objects that lie beside their sources, and the kernels that they are loaded into."""

from functools import cache
from pathlib import Path
from typing import Any

from kprobesim.bpf import Arena, BenchEnvironment, BpfMap, FlatMemory, Program, create_map
from kprobesim.bpf.object import BpfObject, Kernel, ObjectProgram, load_object
from kprobesim.image import Btf, Kallsyms, open_image
from kprobesim.tracing.bpftool.values import value_of

PROGRAMS = Path(__file__).parent / "programs"
_BASE, _SIZE = 0x1_0000, 1 << 16


@cache
def toyix() -> Kernel:
    """The kernel that ships."""
    image = open_image("toyix")
    kallsyms = Kallsyms.from_image(image)

    def address_of(name: str) -> int | None:
        found = kallsyms.lookup_name(name)
        return found[0].address if found else None

    return Kernel(Btf.from_image(image), address_of)


def contents(name: str) -> bytes:
    return (PROGRAMS / f"{name}.o").read_bytes()


@cache
def loaded(name: str, kernel: str = "toyix") -> BpfObject:
    """An object, relocated against toyix or against the types of another object."""
    if kernel == "toyix":
        return load_object(contents(name), f"{name}.o", toyix())
    types = loaded(kernel).btf
    assert types is not None
    return load_object(contents(name), f"{name}.o", Kernel(types, lambda symbol: None))


def program(name: str, function: str, kernel: str = "toyix") -> ObjectProgram:
    found = loaded(name, kernel).program(function)
    assert found is not None
    return found


def run(name: str, function: str, kernel: str = "toyix") -> list[BpfMap]:
    """Run a program in a small memory; the object's maps afterwards."""
    memory = FlatMemory(_BASE, _SIZE)
    arena = Arena(_BASE + 0x2000, _SIZE - 0x2000)
    found = loaded(name, kernel)
    maps = [create_map(made.spec, memory, arena, number) for number, made in enumerate(found.maps, 1)]
    for made, live in zip(found.maps, maps, strict=True):
        if made.initial:
            live.update_elem(bytes(4), made.initial)
    chosen = program(name, function, kernel)
    Program(chosen.name, chosen.type, chosen.insns, maps, found.license).bind(memory, BenchEnvironment()).run(
        ctx=_BASE + 0x1000, stack_top=_BASE + 0x1000
    )
    return maps


def variables(name: str, section: str, live: list[BpfMap], kernel: str = "toyix") -> dict[str, Any]:
    """The variables of a data section by name."""
    found = loaded(name, kernel)
    assert found.btf is not None
    for made, one in zip(found.maps, live, strict=True):
        if made.section == section:
            value = one.read_value(bytes(4))
            assert value is not None
            listed = value_of(found.btf, made.value_type, value, plain=False)[section]
            return {key: entry for row in listed for key, entry in row.items()}
    raise AssertionError(f"{name} has no {section}")
