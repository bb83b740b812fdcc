"""Loading a program, its tag and its text; the answers of batch mode."""

import json
from typing import Any

import pytest

from kprobesim.bpf import Arena, FlatMemory, Level, LoadError, MapSpec, Program, answer, assemble, create_map, prog_tag
from kprobesim.linux_errno import Errno
from tests.bpf.rig import build_rig

COUNT_READ = """
    r1 = 0
    *(u32 *)(r10 -4) = r1
    r2 = r10
    r2 += -4
    r1 = map[fd:4]
    call bpf_map_lookup_elem#1
    if r0 == 0x0 goto pc+2
    r1 = 1
    lock *(u64 *)(r0 +0) += r1
    r0 = 0
    exit
"""


def test_the_tag_is_the_one_that_bpftool_showed() -> None:
    """08_bpftool of the captures: prog count_read has tag aa93b500236fde34, whatever its map's fd."""
    assert prog_tag(assemble(COUNT_READ).insns) == "aa93b500236fde34"
    assert prog_tag(assemble(COUNT_READ.replace("fd:4", "fd:9")).insns) == "aa93b500236fde34"


def test_the_text_names_maps() -> None:
    rig = build_rig(".map cnt array key=4 value=8 max_entries=1\nr1 = map cnt\nr2 = map[cnt][0]+4\nr0 = 0\nexit")
    assert rig.program.text().splitlines()[:2] == ["0: (18) r1 = map[cnt]", "2: (18) r2 = map[cnt][0]+4"]


def test_map_references_become_addresses() -> None:
    rig = build_rig(".map cnt array key=4 value=8 max_entries=1\nr0 = map[cnt][0]+4\nr1 = map cnt\nr0 -= r1\nexit")
    assert rig.run() == 276
    assert rig.program.used_maps == (rig.maps["cnt"],)


def load(text: str, maps: dict[int, MapSpec]) -> Program:
    memory, arena = FlatMemory(0x1000, 0x4000), Arena(0x1000, 0x4000)
    made = {number: create_map(spec, memory, arena, number) for number, spec in maps.items()}
    return Program("p", "kprobe", assemble(text).insns, made)


HASH = MapSpec("hash", 4, 8, 1)
OUTSIDE = "invalid access to map value pointer, value_size=8 off="
REFUSED = [
    ("r1 = map[fd:3]", {}, "fd 3 is not pointing to valid bpf_map", Errno.EBADF),
    ("r1 = map[fd:3][0]", {3: HASH}, "no direct value access support for this map type", Errno.EINVAL),
    ("r1 = map[fd:3][0]+8", {3: MapSpec("array", 4, 8, 1)}, f"{OUTSIDE}8", Errno.EINVAL),
    ("r1 = map[fd:3][0]", {3: MapSpec("array", 4, 8, 2)}, f"{OUTSIDE}0", Errno.ENOTSUPP),
    ("r1 = btf[id:3][fd:0]\nr0 = 0\nexit", {}, "unrecognized bpf_ld_imm64 insn", Errno.EINVAL),
    ("call kernel-function#5", {}, "JIT is required for calling kernel function", Errno.ENOTSUPP),
    ("r0 = *(u8 *)skb[0]", {}, "BPF_LD_[ABS|IND] instructions not allowed for this program type", Errno.EINVAL),
]  # fmt: skip


@pytest.mark.parametrize(("text", "maps", "message", "errno"), REFUSED)
def test_loading_refuses_as_linux_does(text: str, maps: dict[int, MapSpec], message: str, errno: Errno) -> None:
    with pytest.raises(LoadError) as refused:
        load(f"{text}\nr0 = 0\nexit", maps)
    assert (refused.value.message, refused.value.errno) == (message, errno)


def test_a_program_type_must_exist() -> None:
    with pytest.raises(LoadError):
        Program("p", "kproof", assemble("exit").insns)


BATCH = [
    ({"op": "run", "insns": "b700000003000000" "9500000000000000"}, {"r0": "0x3"}),
    ({"op": "run", "engine": "interp", "insns": "7911000000000000bf100000000000009500000000000000",
      "mem": "aabbccddeeff0011", "mem_size": 8, "stack": 512}, {"r0": "0x1100ffeeddccbbaa"}),
    ({"op": "run", "insns": "bf200000000000009500000000000000", "mem_size": 9}, {"r0": "0x9"}),
    ({"op": "run", "insns": "bf100000000000009500000000000000"}, {"r0": "0x0"}),
    ({"op": "decode", "insns": "9500000000000000"}, {"ok": True}),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "expected"), BATCH)
def test_batch_answers(request_: dict[str, Any], expected: dict[str, Any]) -> None:
    assert answer({"id": 5, **request_}) == {"id": 5, **expected}


BAD = [
    {},
    {"op": "fly"},
    {"op": "run"},
    {"op": "run", "insns": "zz"},
    {"op": "run", "insns": "95"},
    {"op": "run", "insns": 5},
    {"op": "run", "insns": "ff00000000000000"},
    {"op": "run", "insns": "9500000000000000", "mem_size": 1 << 60},
    {"op": "run", "insns": "9500000000000000", "mem_size": -1},
    {"op": "run", "insns": "9500000000000000", "stack": 1 << 60},
    {"op": "run", "insns": "9500000000000000", "engine": "native"},
    {"op": "run", "insns": "0500ffff000000009500000000000000"},
    {"op": "run", "insns": "79a000000000000079000000000000009500000000000000"},
    {"op": "decode", "insns": "95000000"},
]


@pytest.mark.parametrize("request_", BAD, ids=json.dumps)
def test_a_bad_request_is_answered_with_an_error(request_: dict[str, Any]) -> None:
    reply = answer(request_)
    assert reply["error"] and "r0" not in reply


def test_decode_says_why_not() -> None:
    reply = answer({"op": "decode", "insns": "95100000000000009500000000000000"})
    assert reply["ok"] is False and "BPF_EXIT uses reserved fields" in reply["error"]


def test_level_v3_is_the_default() -> None:
    assert build_rig("exit").program.level is Level.V3
