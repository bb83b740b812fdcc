"""``bpftool btf``: show, dump (raw, or as C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kprobesim.image import Btf, BtfKind, BtfType
from kprobesim.image.btf_header import c_header
from kprobesim.linux_errno import Errno
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpftool.answer import BpftoolError, Output
from kprobesim.tracing.bpftool.handles import Words, one_map, one_program, os_error

__all__ = ["BTF_COMMANDS", "raw_type"]

_VMLINUX: Final = 1
_ENCODINGS: Final = {0: "(none)", 1: "SIGNED", 2: "CHAR", 4: "BOOL"}
_LINKAGES: Final = ("static", "global", "extern")
_REFERENCES: Final = (
    BtfKind.PTR,
    BtfKind.CONST,
    BtfKind.VOLATILE,
    BtfKind.RESTRICT,
    BtfKind.TYPEDEF,
    BtfKind.TYPE_TAG,
)
_ENUMS: Final = (BtfKind.ENUM, BtfKind.ENUM64)


def _fields(btf: Btf, entry: BtfType) -> tuple[dict[str, Any], str, list[dict[str, Any]]]:
    """What is said of a type itself, the name of the list below it, and the list."""
    kind = entry.kind
    if kind is BtfKind.INT:
        encoding = _ENCODINGS.get(entry.encoding, "UNKN")
        return {
            "size": entry.size, "bits_offset": entry.bit_offset, "nr_bits": entry.bits, "encoding": encoding
        }, "", []  # fmt: skip
    if kind in _REFERENCES:
        return {"type_id": entry.target}, "", []
    if kind is BtfKind.ARRAY:
        return {"type_id": entry.target, "index_type_id": entry.index_type, "nr_elems": entry.count}, "", []
    if kind in (BtfKind.STRUCT, BtfKind.UNION):
        members = []
        for one in entry.members:
            row: dict[str, Any] = {
                "name": one.name or "(anon)", "type_id": one.type_id, "bits_offset": one.bit_offset
            }  # fmt: skip
            if one.bit_size:
                row["bitfield_size"] = one.bit_size
            members.append(row)
        return {"size": entry.size, "vlen": len(members)}, "members", members
    if kind in _ENUMS:
        values = [{"name": one.name, "val": one.value} for one in entry.enumerators]
        encoding = "SIGNED" if entry.flag else "UNSIGNED"
        return {"encoding": encoding, "size": entry.size, "vlen": len(values)}, "values", values
    return _other_fields(btf, entry)


def _other_fields(btf: Btf, entry: BtfType) -> tuple[dict[str, Any], str, list[dict[str, Any]]]:
    kind = entry.kind
    if kind is BtfKind.FWD:
        return {"fwd_kind": "union" if entry.flag else "struct"}, "", []
    if kind in (BtfKind.FUNC, BtfKind.VAR):
        return {"type_id": entry.target, "linkage": _linkage(entry)}, "", []
    if kind is BtfKind.FUNC_PROTO:
        parameters = [{"name": one.name or "(anon)", "type_id": one.type_id} for one in entry.parameters]
        return {"ret_type_id": entry.target, "vlen": len(parameters)}, "params", parameters
    if kind is BtfKind.DATASEC:
        variables = [{"type_id": one.type_id, "offset": one.offset, "size": one.size} for one in entry.variables]
        return {"size": entry.size, "vlen": len(variables)}, "vars", variables
    if kind is BtfKind.DECL_TAG:
        return {"type_id": entry.target, "component_idx": entry.component}, "", []
    return {"size": entry.size}, "", []


def _linkage(entry: BtfType) -> str:
    return _LINKAGES[entry.linkage] if entry.linkage < len(_LINKAGES) else "(unknown)"


def _member_text(btf: Btf, entry: BtfType, row: dict[str, Any]) -> str:
    words = " ".join(f"{name}={value}" for name, value in row.items() if name != "name")
    if entry.kind is BtfKind.DATASEC:
        target = btf.type(row["type_id"])
        return f"\t{words} ({target.kind.name} '{target.name}')\n"
    suffix = "" if entry.kind is not BtfKind.ENUM64 else "LL" if entry.flag else "ULL"
    return f"\t'{row['name']}' {words}{suffix}\n"


def raw_type(btf: Btf, entry: BtfType) -> tuple[str, dict[str, Any]]:
    """One type as ``btf dump`` prints it, and as JSON."""
    fields, label, rows = _fields(btf, entry)
    name = entry.name or "(anon)"
    comma = "," if entry.kind is BtfKind.VAR else ""
    text = f"[{entry.id}] {entry.kind.name} '{name}' " + f"{comma} ".join(
        f"{key}={value}" for key, value in fields.items()
    )
    data: dict[str, Any] = {"id": entry.id, "kind": entry.kind.name, "name": name, **fields}
    if label:
        data[label] = rows
    return f"{text}\n" + "".join(_member_text(btf, entry, row) for row in rows), data


def _find(programs: BpfPrograms, words: Words) -> Btf:
    kind = words.take()
    if kind == "id":
        word = words.take()
        number = int(word) if word.isascii() and word.isdigit() and len(word) < 10 else 0
    elif kind == "prog":
        types = programs.ids.programs[one_program(programs, words).name].types
        number = types.btf_id if types else 0
    elif kind == "map":
        found = one_map(programs, words)
        name = next(name for name, one in programs.maps.items() if one is found)
        map_types = programs.ids.map_types.get(name)
        number = map_types.btf_id if map_types else 0
    elif kind == "file":
        if words.take() != "/sys/kernel/btf/vmlinux":
            raise os_error("failed to load BTF", Errno.ENOENT)
        number = _VMLINUX
    else:
        raise BpftoolError(f"unrecognized BTF source specifier: '{kind}'")
    if number == _VMLINUX:
        return programs.kernel_btf
    if number not in programs.ids.btfs:
        raise os_error(f"get btf by id ({number})", Errno.ENOENT)
    return programs.ids.btfs[number].btf


def dump(programs: BpfPrograms, words: Words) -> Output:
    """``btf dump SOURCE [format c|raw]``."""
    btf = _find(programs, words)
    form = "raw"
    if words.accept("format"):
        form = words.take()
        if form not in ("raw", "c"):
            raise BpftoolError(f"unrecognized format specifier: '{form}', possible values: raw, c")
    words.end()
    if form == "c":
        return Output(c_header(btf))
    rows = [raw_type(btf, entry) for entry in btf if entry.id]
    return Output("".join(text for text, _ in rows), {"types": [data for _, data in rows]})


def show(programs: BpfPrograms, words: Words) -> Output:
    """``btf show``."""
    words.end()
    size = programs.kernel_btf_size
    lines = [f"{_VMLINUX}: name [vmlinux]  size {size}B\n"]
    data: list[dict[str, Any]] = [{"id": _VMLINUX, "size": size, "prog_ids": [], "map_ids": [], "kernel": True}]
    for info in programs.ids.btfs.values():
        used_by = [one.id for one in programs.ids.programs.values() if one.types and one.types.btf_id == info.id]
        maps = [programs.maps[name].id for name, one in programs.ids.map_types.items() if one.btf_id == info.id]
        words_of = "".join(
            f"  {label} {','.join(map(str, ids))}" for label, ids in (("prog_ids", used_by), ("map_ids", maps)) if ids
        )
        lines.append(f"{info.id}: name <anon>  size {info.size}B{words_of}\n")
        data.append({"id": info.id, "size": info.size, "prog_ids": used_by, "map_ids": maps, "kernel": False})
    return Output("".join(lines), data)


BTF_COMMANDS: Final[dict[str, Callable[[BpfPrograms, Words], Output]]] = {"show": show, "list": show, "dump": dump}
