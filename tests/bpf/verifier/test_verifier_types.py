"""V16: what the kernel's types and the program's own tell the verifier."""

from functools import cache
from typing import Any

from kprobesim.bpf import assemble
from kprobesim.bpf.verifier import LEVEL1, FunctionType, Verdict, verify
from kprobesim.image import open_image
from kprobesim.image.btf import Btf, BtfKind
from tests.bpf.verifier.bench import check

END = "r0 = 0\nexit\n"


@cache
def types() -> Btf:
    return Btf.from_image(open_image("toyix"))


def traced(text: str, func: str = "vfs_read", **options: object) -> Verdict:
    return check(f".type tracing\n{text}", attach_func=func, btf=types(), **options)


def said(verdict: Verdict) -> str:
    assert verdict.rejected is not None, verdict.log
    return verdict.rejected.message


def test_arguments_that_point_to_structs_are_pointers_to_structs() -> None:
    """The kernel tells so in its log."""
    verdict = traced(f"r2 = *(u64 *)(r1 +0)\n{END}")
    file = types().find("file", BtfKind.STRUCT)
    assert file is not None
    assert f"func 'vfs_read' arg0 has btf_id {file.id} type STRUCT 'file'\n1: R1=ctx" in verdict.log
    assert "R2_w=ptr_file(off=0,imm=0)" in verdict.log
    assert verdict.errno == 0


def test_numbers_and_pointers_to_numbers_are_numbers() -> None:
    assert "R2_w=scalar()" in traced(f"r2 = *(u64 *)(r1 +16)\n{END}").log
    assert "R2_w=scalar()" in traced(f"r2 = *(u64 *)(r1 +8)\n{END}").log


def test_there_are_no_more_arguments_than_the_function_has() -> None:
    verdict = traced(f"r2 = *(u64 *)(r1 +40)\n{END}")
    assert "func 'vfs_read' doesn't have 6-th argument\ninvalid bpf_context access off=40 size=8\n" in verdict.log
    assert "doesn't have 5-th argument" in traced(f"r2 = *(u64 *)(r1 +32)\n{END}").log
    assert traced(f"r2 = *(u64 *)(r1 +32)\n{END}", attach_type="trace_fexit").errno == 0
    assert "offset 4 is not multiple of 8" in traced(f"r2 = *(u32 *)(r1 +4)\n{END}").log
    assert said(traced(f"*(u64 *)(r1 +0) = r1\n{END}")) == "invalid bpf_context access off=0 size=8"


def test_members_are_found_by_offset() -> None:
    """A pointer to a struct gives a pointer, anything else a number; half a pointer is refused."""
    place = next(
        (struct, member)
        for struct in ("file", "task_struct")
        for member in (types().find(struct, BtfKind.STRUCT) or types().type(0)).members
        if types().strip(member.type_id).kind is BtfKind.PTR
        and types().strip(types().strip(member.type_id).target).kind is BtfKind.STRUCT
    )
    struct, member = place
    assert struct == "file"
    off = member.bit_offset // 8
    target = types().strip(types().strip(member.type_id).target).name
    load = "r2 = *(u64 *)(r1 +0)\n"
    assert f"R3_w=ptr_{target}(off=0,imm=0)" in traced(f"{load}r3 = *(u64 *)(r2 +{off})\n{END}").log
    half = f"cannot access ptr member {member.name} with moff {off} in struct file with off {off} size 4"
    assert said(traced(f"{load}r3 = *(u32 *)(r2 +{off})\n{END}")) == half
    size = (types().find("file", BtfKind.STRUCT) or types().type(0)).size
    beyond = f"access beyond struct file at off {size} size 8"
    assert said(traced(f"{load}r3 = *(u64 *)(r2 +{size})\n{END}")) == beyond
    assert said(traced(f"{load}*(u64 *)(r2 +{off}) = 0\n{END}")) == "only read is supported"


def test_tracing_programs_name_their_function() -> None:
    assert said(check(f".type tracing\n{END}")) == "Tracing programs must provide btf_id"
    assert said(traced(END, "no_such_function")) == "attach_btf_id 0 is not a function"


def test_fentry_programs_return_zero() -> None:
    message = "At program exit the register R0 has value (0x1; 0x0) should have been in (0x0; 0x0)"
    assert said(traced("r0 = 1\nexit\n")) == message


MAIN = FunctionType("main", True, ("ctx",))
CALLS = """
    r1 = {first}
    call sub
    r0 = 0
    exit
sub:
    r0 = r1
    r0 += 1
    exit
"""


def test_global_functions_are_verified_alone() -> None:
    """For any number, and the caller only needs to pass one; what they return is unknown."""
    functions = (MAIN, FunctionType("sub", True, ("number",)))
    verdict = check(CALLS.format(first="5"), functions=functions)
    assert verdict.errno == 0
    assert "Validating sub() func#1...\n4: R1=scalar() R10=fp0\n" in verdict.log
    assert "Func#1 is safe for any args that match its prototype\n" in verdict.log
    assert "1: (85) call pc+2\nFunc#1 is global and valid. Skipping.\n2: R0_w=scalar()\n" in verdict.log
    refusal = check(CALLS.format(first="r10"), functions=functions)
    assert "R1 is not a scalar\nCaller passes invalid args into func#1\n" in refusal.log
    assert refusal.errno == 22


def test_static_functions_are_looked_into_all_the_same() -> None:
    functions = (MAIN, FunctionType("sub", False, ("number",)))
    verdict = check(CALLS.format(first="5"), functions=functions)
    assert "Validating" not in verdict.log
    assert "caller:\n" in verdict.log


def test_global_functions_get_memory_that_may_be_null() -> None:
    caller = "r1 = r10\nr1 += -8\n{store}call sub\nr0 = 0\nexit\n"
    text = caller + "sub:\n{check}r0 = *(u64 *)(r1 +0)\nexit\nout:\nr0 = 0\nexit\n"
    functions = (MAIN, FunctionType("sub", True, (8,)))
    null = "if r1 == 0 goto out\n"
    store = "*(u64 *)(r10 -8) = 0\n"
    assert check(text.format(store=store, check=null), functions=functions).errno == 0
    unchecked = text.format(store=store, check="").replace("out:\nr0 = 0\nexit\n", "")
    assert said(check(unchecked, functions=functions)) == "R1 invalid mem access 'mem_or_null'"
    larger = (MAIN, FunctionType("sub", True, (16,)))
    assert (
        said(check(text.format(store=store, check=null), functions=larger)) == "Caller passes invalid args into func#1"
    )


def test_global_functions_return_numbers() -> None:
    functions = (MAIN, FunctionType("sub", True, ("number",), returns_number=False))
    message = "Global function sub() doesn't return scalar. Only those are supported."
    assert said(check(CALLS.format(first="5"), functions=functions)) == message
    leak = check("call sub\nexit\nsub:\nr0 = r10\nexit\n", functions=(MAIN, FunctionType("sub", True)))
    assert said(leak) == "At subprogram exit the register R0 is not a scalar value (fp)"


def test_callbacks_are_static() -> None:
    text = "r1 = 4\nr2 = func[pc +6]\nr3 = 0\nr4 = 0\ncall bpf_loop\nr0 = 0\nexit\nsub:\nr0 = 0\nexit\n"
    insns = assemble(text).insns

    def with_linkage(is_global: bool) -> Verdict:
        return verify(insns, "kprobe", log_level=LEVEL1, functions=(MAIN, FunctionType("sub", is_global)))

    assert with_linkage(False).errno == 0
    assert said(with_linkage(True)) == "callback function not static"


def calling(name: str, text: str = "r1 = 0\n{call}r0 = 0\nexit\n", **options: Any) -> Verdict:
    """A program that calls a function of the kernel by the number of its type."""
    entry = types().find(name)
    assert entry is not None
    source = text.format(call=f"call kernel-function#{entry.id}\n")
    return check(f".type sched_cls\n{source}", btf=types(), **options)


def test_functions_that_the_kernel_has_not_registered_cannot_be_called() -> None:
    """V16: kfuncs. toyix registers none; the log names the function."""
    verdict = calling("vfs_read")
    assert said(verdict) == "calling kernel function vfs_read is not allowed"
    assert f"(85) call vfs_read#{(types().find('vfs_read') or types().type(0)).id}\n" in verdict.log


def test_a_call_that_no_path_comes_to_is_not_asked_about() -> None:
    dead = "r0 = 0\nif r0 == 0 goto out\n{call}out:\nexit\n"
    assert calling("vfs_read", dead).errno == 0


def test_what_is_called_is_a_function_in_the_kernels_code() -> None:
    file = types().find("file", BtfKind.STRUCT)
    assert file is not None
    assert said(calling("file")) == f"kernel btf_id {file.id} is not a function"
    assert said(check(f"call kernel-function#-1\n{END}", btf=types())) == "kernel btf_id 4294967295 is not a function"
    nowhere = calling("vfs_read", function_facts=lambda name: None)
    assert said(nowhere) == "cannot find address for kernel function vfs_read"
    assert said(calling("printk")) == "The function printk with variable args is unsupported."


def test_at_most_256_functions_of_the_kernel_are_called() -> None:
    callable_ = [entry for entry in types() if entry.kind is BtfKind.FUNC and _fits(entry.name)]
    text = "r0 = 0\nexit\n" + "".join(f"call kernel-function#{entry.id}\n" for entry in callable_[:257])
    assert said(check(text + END, btf=types())) == "too many different kernel function calls"


def _fits(name: str) -> bool:
    found = types().function(name)
    return found is not None and all(0 < types().size_of(one.type_id) <= 16 for one in found[0])
