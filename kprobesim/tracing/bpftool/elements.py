"""One element of a map: as text, as JSON, as the values that its types say it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from kprobesim.bpf import MapSpec
from kprobesim.image import Btf
from kprobesim.tracing.bpf_ids import MapTypes
from kprobesim.tracing.bpftool.values import hex_bytes, hex_list, value_of

__all__ = ["Element", "on_all_cpus"]


def _is_per_cpu(spec: MapSpec) -> bool:
    return "percpu_" in spec.type


def on_all_cpus(spec: MapSpec, value: bytes, cpus: int) -> bytes:
    """A value as bpf(2) takes it: for a map with a copy for each CPU as many copies, each filled up to 8 bytes."""
    return value.ljust(len(value) + 7 & ~7, b"\0") * cpus if _is_per_cpu(spec) else value


class Element(NamedTuple):
    """An element as bpf(2) gives it.

    Attributes:
        spec: of the map.
        key: its bytes.
        value: its bytes; of a map with a copy for each CPU all of them, each filled up to 8 bytes.
    """

    spec: MapSpec
    key: bytes
    value: bytes

    @property
    def copies(self) -> list[bytes] | None:
        """Each CPU's value; None where there is one for all."""
        if not _is_per_cpu(self.spec):
            return None
        size, step = self.spec.value_size, self.spec.value_size + 7 & ~7
        return [self.value[at : at + size] for at in range(0, len(self.value), step)]

    def formatted(self, types: MapTypes, btf: Btf, *, plain: bool) -> dict[str, Any]:
        """Key and value by their types.

        Raises:
            ObjectError, ImageError: types that unfold without end.
        """

        def shown(value: bytes) -> Any:
            return value_of(btf, types.value, value, plain=plain) if types.value else hex_list(value)

        pair: dict[str, Any] = {}
        if types.key:
            pair["key"] = value_of(btf, types.key, self.key, plain=plain)
        if self.copies is None:
            return pair | {"value": shown(self.value)}
        return pair | {"values": [{"cpu": cpu, "value": shown(copy)} for cpu, copy in enumerate(self.copies)]}

    def data(self, types: MapTypes | None, btf: Btf | None) -> dict[str, Any]:
        """The bytes for ``--json``, and what they mean if there are types."""
        data: dict[str, Any] = {"key": hex_list(self.key)}
        if self.copies is None:
            data["value"] = hex_list(self.value)
        else:
            data["values"] = [{"cpu": cpu, "value": hex_list(copy)} for cpu, copy in enumerate(self.copies)]
        if types is not None and btf is not None:
            data["formatted"] = self.formatted(types, btf, plain=False)
        return data

    def text(self) -> str:
        """The bytes in hex, on one line if they are few."""
        broken = len(self.key) > 16 or self.spec.value_size > 16
        gap = "\n" if broken else " "
        if self.copies is not None:
            inner = "\n" if self.spec.value_size > 16 else " "
            rows = (f"value (CPU {cpu:02}):{inner}{hex_bytes(copy)}\n" for cpu, copy in enumerate(self.copies))
            return f"key:{gap}{hex_bytes(self.key)}\n{''.join(rows)}"
        single = len(self.key) + len(self.value) <= 24 and not broken
        return f"key:{gap}{hex_bytes(self.key)}{'  ' if single else chr(10)}value:{gap}{hex_bytes(self.value)}\n"
