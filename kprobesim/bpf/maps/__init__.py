"""Maps: the memory that BPF programs share with each other and with user space. One file per kind."""

from kprobesim.bpf.maps.array import ArrayMap, PercpuArrayMap
from kprobesim.bpf.maps.base import MAP_TYPES, BpfMap, MapSpec, Place, map_type_id
from kprobesim.bpf.maps.bloom_filter import BloomFilter
from kprobesim.bpf.maps.create import CREATABLE, create_map, create_maps
from kprobesim.bpf.maps.fd_array import PerfEventArray, ProgArray
from kprobesim.bpf.maps.flags import MapFlag, UpdateFlag
from kprobesim.bpf.maps.hash import HashMap, PercpuHashMap
from kprobesim.bpf.maps.lpm_trie import LpmTrie
from kprobesim.bpf.maps.lru_hash import LruHashMap, LruPercpuHashMap
from kprobesim.bpf.maps.map_in_map import ArrayOfMaps, HashOfMaps
from kprobesim.bpf.maps.perf_buffer import Lost, PerfConfig, PerfEvent, Sample
from kprobesim.bpf.maps.queue_stack import QueueMap, StackMap
from kprobesim.bpf.maps.ringbuf import RingBuf, RingRecord, UserRingBuf
from kprobesim.bpf.maps.stack_trace import StackTraceMap

__all__ = [
    "CREATABLE",
    "MAP_TYPES",
    "ArrayMap",
    "ArrayOfMaps",
    "BloomFilter",
    "BpfMap",
    "HashMap",
    "HashOfMaps",
    "Lost",
    "LpmTrie",
    "LruHashMap",
    "LruPercpuHashMap",
    "MapFlag",
    "MapSpec",
    "PercpuArrayMap",
    "PercpuHashMap",
    "PerfConfig",
    "PerfEvent",
    "PerfEventArray",
    "Place",
    "ProgArray",
    "QueueMap",
    "RingBuf",
    "RingRecord",
    "Sample",
    "StackMap",
    "StackTraceMap",
    "UpdateFlag",
    "UserRingBuf",
    "create_map",
    "create_maps",
    "map_type_id",
]
