"""What a program's types say of its functions and lines must fit the program (check_btf_func, check_btf_line).

Reference: bpf.md V11, V16. Messages are those of Linux 6.1 kernel/bpf/verifier.c and btf.c.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.bpf import answer, assemble, encode
from kprobesim.bpf.verifier import LEVEL1, LEVEL2, ProgramBtf, Verdict, verify
from kprobesim.image.btf import HEADER, Btf
from kprobesim.linux_errno import Errno
from tests.bpf.object.elf_builder import Types

INT, PTR, ARRAY, STRUCT, FWD, TYPEDEF, FUNC, FUNC_PROTO = 1, 2, 3, 4, 7, 8, 12, 13
STATIC, GLOBAL = 0, 1
TWO_FUNCTIONS = """
    r6 = r1
    r1 = 5
    call sub
    r0 = 0
    exit
sub:
    r0 = r1
    exit
"""
SUB_AT = 5


class Functions(Types):
    """Types with an ``int`` and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.int = self.add(INT, "int", 4, extra=struct.pack("<I", 1 << 24 | 32))

    def pointer(self, target: int) -> int:
        return self.add(PTR, size=target)

    def struct(self, name: str, size: int = 8) -> int:
        return self.add(STRUCT, name, size)

    def function(self, name: str, linkage: int, *parameters: int, returns: int | None = None) -> int:
        rows = b"".join(struct.pack("<II", self.name(f"arg{n}"), one) for n, one in enumerate(parameters))
        result = self.int if returns is None else returns
        prototype = self.add(FUNC_PROTO, size=result, vlen=len(parameters), extra=rows)
        return self.add(FUNC, name, prototype, linkage)

    def given(self, functions: list[tuple[int, int]], lines: Sequence[tuple[int, ...]] = (), **more: Any) -> ProgramBtf:
        raw = self.bytes()
        return replace(
            ProgramBtf(
                Btf.parse(raw),
                HEADER.unpack_from(raw)[-1],
                b"".join(struct.pack("<II", *one) for one in functions),
                len(functions),
                line_info=b"".join(struct.pack("<IIII", *(*one, 0, 0, 0)[:4]) for one in lines),
                line_info_cnt=len(lines),
            ),
            **more,
        )


def load(text: str, types: ProgramBtf | None, prog_type: str = "kprobe", level: int = LEVEL1) -> Verdict:
    return verify(assemble(text).insns, prog_type, log_level=level, types=types)


def two(linkage: int = STATIC, **more: Any) -> ProgramBtf:
    types = Functions()
    main = types.function("main", GLOBAL, types.pointer(types.struct("pt_regs")))
    sub = types.function("sub", linkage, types.int)
    return types.given([(0, main), (SUB_AT, sub)], **more)


def refused(verdict: Verdict, errno: Errno, said: str, end: str = "\n") -> None:
    """The log is this sentence and the figures, nothing else: no instruction was looked at."""
    assert verdict.errno == errno
    assert verdict.log.startswith(f"{said}{end}processed 0 insns")


def packed(*records: tuple[int, ...], tail: bytes = b"") -> bytes:
    return b"".join(struct.pack(f"<{len(one)}I", *one) + tail for one in records)


def test_functions_that_fit_are_taken() -> None:
    assert load(TWO_FUNCTIONS, two()).errno == 0
    assert load(TWO_FUNCTIONS, two(), level=LEVEL2).log.startswith("func#0 @0\nfunc#1 @5\n0: R1=ctx")


def test_as_many_functions_as_the_program_has() -> None:
    said = "number of funcs in func_info doesn't match number of subprogs"
    refused(load(TWO_FUNCTIONS, two(func_info_cnt=1)), Errno.EINVAL, said)
    refused(load(TWO_FUNCTIONS, two(func_info_cnt=(1 << 32) - 1)), Errno.EINVAL, said)


@pytest.mark.parametrize("size", [0, 4, 7, 10, 256, (1 << 32) - 4])
def test_a_function_record_has_a_size_that_makes_sense(size: int) -> None:
    verdict = load(TWO_FUNCTIONS, two(func_info_rec_size=size))
    refused(verdict, Errno.EINVAL, f"invalid func info rec size {size}")


def test_longer_records_must_be_zero_where_this_kernel_knows_nothing() -> None:
    plain = two()
    ids = struct.unpack("<IIII", plain.func_info)
    long = packed(ids[:2], ids[2:], tail=bytes(4))
    assert load(TWO_FUNCTIONS, two(func_info=long, func_info_rec_size=12)).errno == 0
    odd = packed(ids[:2], ids[2:], tail=b"\0\0\1\0")
    verdict = load(TWO_FUNCTIONS, two(func_info=odd, func_info_rec_size=12))
    refused(verdict, Errno.E2BIG, "nonzero tailing record in func info")
    lines = packed((0, 0, 0, 0), tail=b"\1\0\0\0")
    verdict = load("r0 = 0\nexit\n", Functions().given([], line_info=lines, line_info_cnt=1, line_info_rec_size=20))
    refused(verdict, Errno.E2BIG, "nonzero tailing record in line_info", end="")


def test_records_that_are_not_there_are_a_fault() -> None:
    assert load(TWO_FUNCTIONS, two(func_info=two().func_info[:12])).errno == Errno.EFAULT
    assert load("r0 = 0\nexit\n", Functions().given([], line_info_cnt=1)).errno == Errno.EFAULT


@pytest.mark.parametrize(
    ("starts", "said", "end"),
    [
        ((1, 5), "nonzero insn_off 1 for the first func info record", ""),
        ((0, 0), "same or smaller insn offset (0) than previous func info record (0)", ""),
        ((0, 4), "func_info BTF section doesn't match subprog layout in BPF program", "\n"),
        ((0, (1 << 32) - 1), "func_info BTF section doesn't match subprog layout in BPF program", "\n"),
    ],
)
def test_functions_begin_where_the_program_has_them(starts: tuple[int, int], said: str, end: str) -> None:
    ids = struct.unpack("<IIII", two().func_info)[1::2]
    records = packed(*zip(starts, ids, strict=True))
    refused(load(TWO_FUNCTIONS, two(func_info=records)), Errno.EINVAL, said, end)


@pytest.mark.parametrize(("type_id", "shown"), [(0, "0"), (1, "1"), (900, "900"), ((1 << 32) - 1, "-1")])
def test_a_function_is_of_kind_func(type_id: int, shown: str) -> None:
    main = struct.unpack("<IIII", two().func_info)[1]
    records = packed((0, main), (SUB_AT, type_id))
    refused(load(TWO_FUNCTIONS, two(func_info=records)), Errno.EINVAL, f"invalid type id {shown} in func info", end="")


def test_only_functions_that_return_a_number_may_take_a_tail_call() -> None:
    text = ".map jumps prog_array key=4 value=4 max_entries=1\ncall sub\nr0 = 0\nexit\n"
    text += "sub:\nr2 = map jumps\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit\n"
    types = Functions()
    context = types.pointer(types.struct("pt_regs"))
    main, void = types.function("main", GLOBAL, context), types.function("sub", STATIC, context, returns=0)
    said = "tail_call is only allowed in functions that return 'int'."
    refused(load(text, types.given([(0, main), (3, void)])), Errno.EINVAL, said)
    refused(load(text, types.given([])), Errno.EINVAL, "tail_call is not allowed in subprogs without BTF")
    lines = types.given([], [(0,), (3,)])
    refused(load(text, lines), Errno.EINVAL, "tail_call is not allowed in subprogs without BTF")


LINES = "r0 = 0\nr1 = 0x1234567812345678\nr2 = 0\nexit\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([(0,), (0,)], "Invalid line_info[1].insn_off:0 (prev_offset:0 prog->len:5)"),
        ([(0,), (3,), (1,)], "Invalid line_info[2].insn_off:1 (prev_offset:3 prog->len:5)"),
        ([(0,), (5,)], "Invalid line_info[1].insn_off:5 (prev_offset:0 prog->len:5)"),
        ([(5,)], "Invalid line_info[0].insn_off:5 (prev_offset:0 prog->len:5)"),
        ([(0,), (2,)], "Invalid insn code at line_info[1].insn_off"),
        ([(0, 9999)], "Invalid line_info[0].line_off or .file_name_off"),
        ([(0, 0, (1 << 32) - 1)], "Invalid line_info[0].line_off or .file_name_off"),
        ([(1,)], "missing bpf_line_info for func#0"),
    ],
)
def test_lines_are_in_order_and_of_instructions(lines: list[tuple[int, ...]], said: str) -> None:
    refused(load(LINES, Functions().given([], lines)), Errno.EINVAL, said)


def test_every_function_begins_with_a_line() -> None:
    missing = "missing bpf_line_info for 1 funcs starting from func#1"
    refused(load(TWO_FUNCTIONS, Functions().given([], [(0,)])), Errno.EINVAL, missing)
    refused(load(TWO_FUNCTIONS, Functions().given([], [(0,), (6,)])), Errno.EINVAL, "missing bpf_line_info for func#1")
    assert load(TWO_FUNCTIONS, Functions().given([], [(0,), (2,), (5,), (6,)])).errno == 0


@pytest.mark.parametrize(
    "change", [{"line_info_rec_size": 12}, {"line_info_rec_size": 256}, {"line_info_cnt": 1 << 27}]
)
def test_sizes_of_lines_are_refused_in_silence(change: dict[str, int]) -> None:
    verdict = load("r0 = 0\nexit\n", Functions().given([], [(0,)], **change))
    assert (verdict.errno, verdict.log.splitlines()[0][:15]) == (Errno.EINVAL, "processed 0 ins")


def test_only_global_functions_are_verified_alone() -> None:
    assert "Validating" not in load(TWO_FUNCTIONS, two(), level=LEVEL2).log
    log = load(TWO_FUNCTIONS, two(GLOBAL), level=LEVEL2).log
    assert "Validating sub() func#1...\n5: R1=scalar() R10=fp0\n" in log
    assert "Func#1 is safe for any args that match its prototype\n" in log
    assert "Func#1 is global and valid. Skipping.\n" in log


def test_the_first_function_may_take_what_it_likes_and_the_log_says_so() -> None:
    """Linux is patient there: old programs declare any context."""
    types = Functions()
    main = types.function("main", GLOBAL, types.pointer(0))
    number = types.function("main", GLOBAL, types.int)
    six = types.function("main", GLOBAL, *[types.int] * 6)
    by_value = types.function("main", GLOBAL, types.struct("pair", 16))
    text = "r0 = *(u64 *)(r1 +0)\nr0 = *(u32 *)(r1 +1)\nexit\n"

    def first_line(function: int) -> str:
        verdict = load(text, types.given([(0, function)]))
        assert "invalid bpf_context access off=1 size=4" in verdict.log
        return verdict.log.splitlines()[0]

    assert first_line(main) == f"reg type unsupported for arg#0 function main#{main}"
    assert first_line(number) == "R1 is not a scalar"
    assert first_line(six) == "Function main has 6 > 5 args"
    assert first_line(by_value) == "Unrecognized arg#0 type STRUCT"


@pytest.mark.parametrize(
    ("prog_type", "struct_name", "is_ctx"),
    [
        ("kprobe", "pt_regs", True),
        ("kprobe", "bpf_user_pt_regs_t", True),
        ("kprobe", "__sk_buff", False),
        ("perf_event", "bpf_perf_event_data", True),
        ("raw_tracepoint", "bpf_raw_tracepoint_args", True),
        ("socket_filter", "__sk_buff", True),
        ("xdp", "xdp_md", True),
        ("tracepoint", "pt_regs", False),
    ],
)
def test_a_pointer_is_the_context_by_the_name_of_its_struct(prog_type: str, struct_name: str, is_ctx: bool) -> None:
    types = Functions()
    main = types.function("main", GLOBAL, types.pointer(types.struct(struct_name)))
    log = load("r0 = 0\nr0 = r9\nexit\n", types.given([(0, main)]), prog_type).log
    assert log.startswith("0: R1=ctx" if is_ctx else f"reg type unsupported for arg#0 function main#{main}\n")


def _undeclared(types: Functions) -> list[int]:
    return [types.pointer(types.add(FWD, "unseen"))]


@pytest.mark.parametrize(
    ("make", "returns", "said"),
    [
        (_undeclared, None, "arg#0 reference type('FWD unseen') size cannot be determined: -22"),
        (lambda types: [types.pointer(0)], None, "arg#0 reference type('UNKNOWN ') size cannot be determined: -22"),
        (lambda types: [types.struct("pair", 16)], None, "Arg#0 type STRUCT in sub() is not supported yet."),
        (lambda types: [types.int] * 6, None, "Global function sub() with 6 > 5 args. Buggy compiler."),
        (lambda types: [], 0, "Global function sub() doesn't return scalar. Only those are supported."),
    ],
)
def test_what_a_global_function_may_take_and_give(
    make: Callable[[Functions], list[int]], returns: int | None, said: str
) -> None:
    types = Functions()
    main = types.function("main", GLOBAL, types.pointer(types.struct("pt_regs")))
    sub = types.function("sub", GLOBAL, *make(types), returns=returns)
    verdict = load(TWO_FUNCTIONS, types.given([(0, main), (SUB_AT, sub)]))
    assert verdict.errno == Errno.EINVAL
    assert verdict.log.splitlines()[-2] == said


def test_a_pointer_to_an_array_is_as_large_as_all_of_it() -> None:
    """The callee may touch all of it, so the caller must have all of it."""
    types = Functions()
    main = types.function("main", GLOBAL, types.pointer(types.struct("pt_regs")))
    array = types.add(ARRAY, extra=struct.pack("<III", types.int, types.int, 4))
    sub = types.function("sub", GLOBAL, types.pointer(types.add(TYPEDEF, "four", array)))
    text = "*(u64 *)(r10 -8) = 0\n*(u64 *)(r10 -16) = 0\nr1 = r10\nr1 += {at}\ncall sub\nr0 = 0\nexit\n"
    text += "sub:\nr0 = 0\nif r1 == 0 goto out\nr0 = *(u32 *)(r1 +12)\nout:\nexit\n"
    given = types.given([(0, main), (7, sub)])
    assert load(text.format(at=-16), given).errno == 0
    assert "Caller passes invalid args into func#1" in load(text.format(at=-12), given).log
    beyond = text.replace("+12", "+16").format(at=-16)
    assert "invalid access to memory, mem_size=16 off=16 size=4" in load(beyond, given).log


def test_a_pointer_that_was_moved_is_no_context_for_a_function() -> None:
    types = Functions()
    context = types.pointer(types.struct("pt_regs"))
    main, sub = types.function("main", GLOBAL, context), types.function("sub", GLOBAL, context)
    text = "r1 += 8\ncall sub\nr0 = 0\nexit\nsub:\nr0 = 0\nexit\n"
    log = load(text, types.given([(0, main), (4, sub)])).log
    assert "dereference of modified ctx ptr R1 off=8 disallowed\nCaller passes invalid args into func#1\n" in log


def test_types_that_refer_to_themselves_are_refused() -> None:
    types = Functions()
    circle = types.add(TYPEDEF, "circle", types.count + 1)
    main = types.function("main", GLOBAL, circle)
    assert load("r0 = 0\nexit\n", types.given([(0, main)])).errno == Errno.EINVAL


def test_a_batch_request_may_have_types() -> None:
    types = Functions()
    main = types.function("main", GLOBAL, types.int)
    program = encode(assemble("r0 = 0\nexit\n").insns).hex()
    request: dict[str, Any] = {"op": "verify", "insns": program, "btf": types.bytes().hex()}
    request |= {"func_info": packed((0, main)).hex(), "func_info_cnt": 1, "func_info_rec_size": 8}
    assert answer(request)["errno"] == 0
    assert answer(request | {"func_info": packed((0, 1)).hex()})["log"].startswith("invalid type id 1 in func info")
    for odd in ({"btf": "00"}, {"btf": 5}, {"func_info_cnt": "many"}, {"func_info": "zz"}):
        assert "error" in answer(request | odd)


u32 = st.integers(0, (1 << 32) - 1)
near = st.one_of(st.integers(0, 12), u32)


@given(
    st.lists(st.tuples(near, near), max_size=4),
    st.lists(st.tuples(near, near, near, near), max_size=6),
    near,
    near,
    st.sampled_from([0, 8, 12, 16, 20, 252, 256]),
    st.sampled_from([0, 8, 12, 16, 20, 252, 256]),
    st.binary(max_size=40),
)
@settings(max_examples=300, deadline=None)
def test_any_records_are_taken_or_refused(
    functions: list[tuple[int, int]],
    lines: list[tuple[int, ...]],
    func_cnt: int,
    line_cnt: int,
    func_size: int,
    line_size: int,
    tail: bytes,
) -> None:
    """Whatever was taken fits: each function has its record, each function's start a line."""
    plain = two()
    given_ = replace(
        plain,
        func_info=packed(*functions) + tail,
        func_info_cnt=func_cnt,
        func_info_rec_size=func_size,
        line_info=packed(*lines) + tail,
        line_info_cnt=line_cnt,
        line_info_rec_size=line_size,
    )
    verdict = load(TWO_FUNCTIONS, given_)
    assert verdict.errno in (0, Errno.EINVAL, Errno.E2BIG, Errno.EFAULT)
    if verdict.errno == 0 and func_cnt:
        assert (func_cnt, func_size % 4) == (2, 0)
    if verdict.errno == 0 and line_cnt:
        starts = [struct.unpack_from("<I", given_.line_info, n * line_size)[0] for n in range(line_cnt)]
        assert starts == sorted(set(starts))
        assert {0, SUB_AT} <= set(starts)
