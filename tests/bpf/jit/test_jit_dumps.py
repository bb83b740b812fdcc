"""Machine code that Linux 6.1.192 made of two programs, byte for byte.

Both were loaded by libbpf, then dumped with bpftool (translated instructions) and from kernel memory. The map's address
and the called function's are those of that kernel.
"""

from kprobesim.bpf import decode
from kprobesim.bpf.isa import Insn, lddw
from kprobesim.bpf.jit import JitProgram, jit_insns

MAP = 0xFF110000_7FF7BC00
START = "b701000000000000 631afcff00000000 bfa2000000000000 07020000fcffffff"

COUNT_READ = """
    0701000010010000 6120000000000000 3500030001000000 6700000003000000 0f10000000000000 0500010000000000
    b700000000000000 1500020000000000 b701000001000000 db10000000000000 b700000000000000 9500000000000000
"""
COUNT_READ_CODE = """
    0f 1f 44 00 00 66 90 55 48 89 e5 48 81 ec 08 00 00 00 31 ff 89 7d fc 48 89 ee 48 83 c6 fc
    48 bf 00 bc f7 7f 00 00 11 ff 48 81 c7 10 01 00 00 8b 46 00 48 83 f8 01 73 09 48 c1 e0 03 48 01 f8 eb 02
    31 c0 48 85 c0 74 0a bf 01 00 00 00 f0 48 01 78 00 31 c0 c9 c3 cc
"""

LOOKUP = 0xFFFFFFFF_81236730
PCOUNT_READ = """
    8500000001000000 1500030000000000 7901000000000000 0701000001000000 7b10000000000000
    b700000000000000 9500000000000000
"""
PCOUNT_READ_CODE = """
    0f 1f 44 00 00 66 90 55 48 89 e5 48 81 ec 08 00 00 00 31 ff 89 7d fc 48 89 ee 48 83 c6 fc
    48 bf 00 bc f7 7f 00 00 11 ff e8 b3 60 23 c1 48 85 c0 74 0c 48 8b 78 00 48 83 c7 01 48 89 78 00
    31 c0 c9 c3 cc
"""


def jit(rest: str, address: int) -> JitProgram:
    def insns(text: str) -> tuple[Insn, ...]:
        return decode(bytes.fromhex(text))

    program = (*insns(START), *lddw(1, MAP), *insns(rest))
    return jit_insns(program, address=address, call_address=lambda _: LOOKUP)


def test_a_program_that_counts_in_an_array() -> None:
    """08_bpftool of the captures, prog count_read: 87 bytes."""
    (image,) = jit(COUNT_READ, 0xFFFFFFFF_C0000710).images
    assert image.code.hex(" ") == bytes.fromhex(COUNT_READ_CODE).hex(" ")
    assert len(image.code) == 87
    assert image.stack_depth == 4


def test_a_program_that_calls() -> None:
    """08_bpftool of the captures, prog pcount_read: with the displacement of its call."""
    (image,) = jit(PCOUNT_READ, 0xFFFFFFFF_C0000650).images
    assert image.code.hex(" ") == bytes.fromhex(PCOUNT_READ_CODE).hex(" ")


def test_the_rest_of_its_memory_is_int3() -> None:
    """The same captures: cc from the last byte on."""
    jited = jit(COUNT_READ, 0xFFFFFFFF_C0000710)
    memory = jited.memory()
    assert memory[:87] == jited.images[0].code
    assert set(memory[87:]) == {0xCC}
    assert (jited.entry + len(memory)) % 64 == 0
