"""BPF programs as data: for a recording, which holds everything it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kprobesim.bpf import Assembly, MapSpec, decode, encode

__all__ = ["assembly_data", "assembly_of"]


def assembly_data(assembly: Assembly) -> dict[str, Any]:
    """An assembled program as JSON has it: bytecode in hex, maps, type and licence, and its section if it names one."""
    maps = [
        {
            "name": spec.name,
            "type": spec.type,
            "key_size": spec.key_size,
            "value_size": spec.value_size,
            "max_entries": spec.max_entries,
            "flags": spec.flags,
        }
        for spec in assembly.maps
    ]
    data = {"insns": encode(assembly.insns).hex(), "maps": maps, "type": assembly.type, "license": assembly.license}
    return data | {"section": assembly.section} if assembly.section else data


def assembly_of(data: Mapping[str, Any]) -> Assembly:
    """The way back; the values have been checked to be of the right types.

    Raises:
        ValueError: the bytecode is not hex, or not whole instructions.
    """
    insns = decode(bytes.fromhex(data["insns"]))
    maps = tuple(MapSpec(**spec) for spec in data["maps"])
    return Assembly(insns, (0,) * len(insns), {}, maps, data["type"], data["license"], "", data.get("section", ""))
