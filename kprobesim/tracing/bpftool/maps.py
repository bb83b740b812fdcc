"""``bpftool map``: show, dump, lookup, update, delete, getnext."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kprobesim.bpf import BpfMap, UpdateFlag
from kprobesim.image import Btf
from kprobesim.linux_errno import Errno
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpf_ids import MapTypes
from kprobesim.tracing.bpftool.answer import BpftoolError, Output, json_text
from kprobesim.tracing.bpftool.elements import Element, on_all_cpus
from kprobesim.tracing.bpftool.handles import Words, find_maps, one_map, os_error
from kprobesim.tracing.bpftool.values import hex_bytes, hex_list

__all__ = ["MAP_COMMANDS"]

_PAGE: Final = 4096
_HELD_BY_ID: Final = ("array_of_maps", "hash_of_maps", "prog_array")
_FLAGS: Final = {"any": UpdateFlag.ANY, "noexist": UpdateFlag.NOEXIST, "exist": UpdateFlag.EXIST}


def _name(programs: BpfPrograms, found: BpfMap) -> str:
    return next(name for name, one in programs.maps.items() if one is found)


def _types(programs: BpfPrograms, found: BpfMap) -> tuple[MapTypes | None, Btf | None]:
    types = programs.ids.map_types.get(_name(programs, found))
    if types is None:
        return None, None
    return types, programs.ids.btfs[types.btf_id].btf if types.btf_id else None


def _memlock(found: BpfMap) -> int:
    size = (found.value_size + 7 & ~7) * found.spec.max_entries
    return (size + _PAGE - 1) // _PAGE * _PAGE


def _show_one(programs: BpfPrograms, found: BpfMap) -> Output:
    spec = found.spec
    types, _ = _types(programs, found)
    btf_id = types.btf_id if types else 0
    frozen = bool(types and types.frozen)
    data: dict[str, Any] = {"id": found.id, "type": spec.type}
    if spec.name:
        data["name"] = spec.name
    data |= {
        "flags": spec.flags,
        "bytes_key": spec.key_size,
        "bytes_value": spec.value_size,
        "max_entries": spec.max_entries,
        "bytes_memlock": _memlock(found),
        "frozen": int(frozen),
    }
    if btf_id:
        data["btf_id"] = btf_id
    name = f"name {spec.name}  " if spec.name else ""
    text = (
        f"{found.id}: {spec.type}  {name}flags {spec.flags:#x}\n"
        f"\tkey {spec.key_size}B  value {spec.value_size}B  max_entries {spec.max_entries}"
        f"  memlock {_memlock(found)}B\n"
    )
    last = [f"btf_id {btf_id}"] if btf_id else []
    last += ["frozen"] if frozen else []
    return Output(text + (f"\t{'  '.join(last)}\n" if last else ""), data)


def show(programs: BpfPrograms, words: Words) -> Output:
    """``map show [MAP]``."""
    if words:
        shown = [_show_one(programs, found) for found in find_maps(programs, words)]
        words.end()
        if not shown:
            raise BpftoolError("")
        data = shown[0].data if len(shown) == 1 else [one.data for one in shown]
        return Output("".join(one.text for one in shown), data)
    shown = [_show_one(programs, found) for found in sorted(programs.maps.values(), key=lambda one: one.id)]
    return Output("".join(one.text for one in shown), [one.data for one in shown])


def dump(programs: BpfPrograms, words: Words) -> Output:
    """``map dump MAP``."""
    found = one_map(programs, words)
    words.end()
    types, btf = _types(programs, found)
    elements = [Element(found.spec, key, value) for key, value in found.items()]
    data = [element.data(types, btf) for element in elements]
    if types is not None and btf is not None:
        formatted = [element.formatted(types, btf, plain=True) for element in elements]
        return Output(json_text(formatted, pretty=True), data)
    text = "".join(element.text() for element in elements)
    plural = "" if len(elements) == 1 else "s"
    return Output(f"{text}Found {len(elements)} element{plural}\n", data)


def _bytes(words: Words, count: int, what: str) -> bytes:
    """``key 0 0 0 0``, ``value hex ff 00``."""
    base = 16 if words.accept("hex") else 0
    data = bytearray()
    while words and len(data) < count:
        word = words.take()
        try:
            number = int(word, base)
        except ValueError:
            number = -1
        if not 0 <= number <= 255:
            raise BpftoolError(f"error parsing byte: {word}")
        data.append(number)
    if len(data) != count:
        raise BpftoolError(f"expected {count} bytes got {len(data)}")
    return bytes(data)


def _key(found: BpfMap, words: Words) -> bytes:
    if not words.accept("key"):
        raise BpftoolError(f"expected 'key', got: {words.next}" if words else "did not find key")
    return _bytes(words, found.key_size, "key")


def lookup(programs: BpfPrograms, words: Words) -> Output:
    """``map lookup MAP key DATA``."""
    found = one_map(programs, words)
    key = _key(found, words)
    words.end()
    value = found.read_value(key)
    if value is None:
        data = {"key": hex_list(key), "error": Errno.ENOENT.text}
        return Output(f"key:\n{hex_bytes(key)}\n\nNot found\n", data)
    types, btf = _types(programs, found)
    element = Element(found.spec, key, value)
    data = element.data(types, btf)
    if types is not None and btf is not None:
        return Output(json_text(element.formatted(types, btf, plain=True), pretty=True), data)
    return Output(element.text(), data)


def _checked(what: str, result: int) -> Output:
    if result < 0:
        raise os_error(f"{what} failed", -result)
    return Output("")


def update(programs: BpfPrograms, words: Words) -> Output:
    """``map update MAP key DATA value DATA [any|exist|noexist]``."""
    found = one_map(programs, words)
    key = _key(found, words)
    if not words.accept("value"):
        raise BpftoolError(f"expected 'value', got: {words.next}" if words else "did not find value")
    if found.spec.type in _HELD_BY_ID:
        raise BpftoolError("value of such a map is a program or a map, which bpftool cannot put there here")
    value = on_all_cpus(found.spec, _bytes(words, found.value_size, "value"), programs.cpu_count)
    flag = words.take() if words else "any"
    words.end()
    if flag not in _FLAGS:
        raise BpftoolError(f"expected key or value, got: {flag}")
    types, _ = _types(programs, found)
    if types is not None and types.frozen:
        raise os_error("update failed", Errno.EPERM)
    return _checked("update", programs.update_map(_name(programs, found), key, value, _FLAGS[flag]))


def delete(programs: BpfPrograms, words: Words) -> Output:
    """``map delete MAP key DATA``."""
    found = one_map(programs, words)
    key = _key(found, words)
    words.end()
    return _checked("delete", programs.delete_from_map(_name(programs, found), key))


def getnext(programs: BpfPrograms, words: Words) -> Output:
    """``map getnext MAP [key DATA]``."""
    found = one_map(programs, words)
    key = _key(found, words) if words else None
    words.end()
    following = found.get_next_key(key)
    if following is None:
        raise os_error("can't get next key", Errno.ENOENT)
    head = "key: None\n" if key is None else f"key:\n{hex_bytes(key)}\n"
    data = {} if key is None else {"key": hex_list(key)}
    return Output(f"{head}next key:\n{hex_bytes(following)}\n", {**data, "next_key": hex_list(following)})


MAP_COMMANDS: Final[dict[str, Callable[[BpfPrograms, Words], Output]]] = {
    "show": show,
    "list": show,
    "dump": dump,
    "lookup": lookup,
    "update": update,
    "delete": delete,
    "getnext": getnext,
}
