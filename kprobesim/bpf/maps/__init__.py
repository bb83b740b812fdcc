"""Maps: the memory that BPF programs share with each other and with user space. One file per kind."""

from kprobesim.bpf.maps.array import ArrayMap
from kprobesim.bpf.maps.base import MAP_TYPES, BpfMap, MapSpec, UpdateFlag, map_type_id
from kprobesim.bpf.maps.create import create_map
from kprobesim.bpf.maps.hash import HashMap

__all__ = ["MAP_TYPES", "ArrayMap", "BpfMap", "HashMap", "MapSpec", "UpdateFlag", "create_map", "map_type_id"]
