"""The bytes of trampolines: Linux's, for what its source shows in a comment, and what depends on who is there."""

import re

import pytest

from kprobesim.bpf.jit import JitError
from kprobesim.bpf.jit.trampoline import TrampFlag, TrampLink, TrampLinks, Trampoline, arch_prepare_bpf_trampoline
from kprobesim.image import Instruction, decode_range

IMAGE, FUNCTION, IM = 0xFFFFFFFFA0001000, 0xFFFFFFFF81002000, 0xFFFF888000100000
ENTRY = TrampLink(0xFFFF888000200000, 0xFFFFFFFFA0000008)
EXIT = TrampLink(0xFFFF888000200100, 0xFFFFFFFFA0000048)
NAMES = {
    "__bpf_prog_enter_recur": 0xFFFFFFFF81000100,
    "__bpf_prog_exit_recur": 0xFFFFFFFF81000200,
    "__bpf_prog_enter_sleepable_recur": 0xFFFFFFFF81000300,
    "__bpf_prog_exit_sleepable_recur": 0xFFFFFFFF81000400,
    "__bpf_tramp_enter": 0xFFFFFFFF81000500,
    "__bpf_tramp_exit": 0xFFFFFFFF81000600,
    FUNCTION: FUNCTION,
}
KNOWN = {address: str(name) for name, address in NAMES.items()} | {
    ENTRY.bpf_func: "fentry_prog",
    EXIT.bpf_func: "fexit_prog",
    FUNCTION + 5: "function+5",
}
CALLS = TrampFlag.CALL_ORIG | TrampFlag.SKIP_FRAME


def prepared(flags: TrampFlag, links: TrampLinks, nr_args: int = 2) -> Trampoline:
    return arch_prepare_bpf_trampoline(IMAGE, nr_args, flags, links, FUNCTION, im=IM, resolve=lambda name: NAMES[name])


def lines(trampoline: Trampoline) -> list[str]:
    found = decode_range(trampoline.code, IMAGE, lambda address: KNOWN.get(address, hex(address)))
    assert all(isinstance(one, Instruction) for one in found)
    return [" ".join(one.text.split()) for one in found if isinstance(one, Instruction)]


def called(trampoline: Trampoline) -> list[str]:
    return [line.split("<")[-1].removesuffix(">") for line in lines(trampoline) if line.startswith("call")]


def test_fentry_saves_the_arguments_calls_the_program_and_returns_into_the_function() -> None:
    """The code that Linux shows above arch_prepare_bpf_trampoline, with the run context of 6.1."""
    made = prepared(TrampFlag.RESTORE_REGS, TrampLinks(fentry=(ENTRY,)))
    assert re.sub("e8.{6}(e0|ff)", "call", made.code.hex()) == (
        "55 4889e5 4883ec28 53 "  # push rbp; mov; sub $0x28; push rbx
        "b802000000 488945e8 "  # there are two arguments
        "48897df0 488975f8 "  # rdi, rsi
        "31ff 48897dd8 "  # no cookie
        "48bf000020008088ffff 488d75d8 call "
        "4889c3 4885c0 7409 "  # the start time; 0: not now
        "488d7df0 call "
        "48bf000020008088ffff 4889de 488d55d8 call "
        "488b7df0 488b75f8 5b c9 c3cc"
    ).replace(" ", "")
    assert called(made) == ["__bpf_prog_enter_recur", "fentry_prog", "__bpf_prog_exit_recur"]
    assert (made.regs_off, made.nregs_off, made.ip_off, made.run_ctx_off) == (16, 24, 24, 40)
    assert made.ip_after_call == made.ip_epilogue == 0


def test_fexit_calls_the_function_behind_the_call_at_its_entry_and_skips_a_return_address() -> None:
    made = prepared(CALLS, TrampLinks(fentry=(ENTRY,), fexit=(EXIT,)))
    assert called(made) == [
        "__bpf_tramp_enter",
        *("__bpf_prog_enter_recur", "fentry_prog", "__bpf_prog_exit_recur"),
        "function+5",
        *("__bpf_prog_enter_recur", "fexit_prog", "__bpf_prog_exit_recur"),
        "__bpf_tramp_exit",
    ]
    text = lines(made)
    after = next(at for at, line in enumerate(text) if line.endswith("<function+5>"))
    assert text[after + 1 :][0].startswith("mov") and text[after + 2].startswith("nop")
    assert text[-5:-2] == ["pop %rbx", "leave", "add $0x8,%rsp"]
    offset = made.ip_after_call - IMAGE
    assert made.code[offset : offset + 5] == bytes.fromhex("0f1f440000")
    assert IMAGE < made.ip_after_call < made.ip_epilogue < made.end


def test_where_another_user_may_move_the_function_its_return_address_says_where_it_is() -> None:
    made = prepared(CALLS | TrampFlag.ORIG_STACK, TrampLinks(fexit=(EXIT,)))
    text = lines(made)
    call = next(at for at, line in enumerate(text) if line.startswith("call") and line.endswith("*%rbx"))
    assert text[call - 1] == "mov 0x8(%rbp),%rbx"
    assert "function+5" not in called(made)


def test_fmod_ret_leaves_the_function_out_unless_it_says_0() -> None:
    made = prepared(CALLS, TrampLinks(fmod_ret=(ENTRY, EXIT), fexit=(EXIT,)))
    found = decode_range(made.code, IMAGE, hex)
    jumps = [one for one in found if isinstance(one, Instruction) and one.mnemonic == "jne"]
    target = {jump.end + jump.immediate for jump in jumps}
    assert len(jumps) == 2 and len(target) == 1
    assert target.pop() % 16 == 0
    assert lines(made).count("cmpq $0x0,-0x8(%rbp)") == 2


@pytest.mark.parametrize("nr_args", range(7))
def test_arguments_lie_in_order_and_the_function_gets_them_back(nr_args: int) -> None:
    registers = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")[:nr_args]
    made = prepared(TrampFlag.RESTORE_REGS | TrampFlag.IP_ARG, TrampLinks(fentry=(ENTRY,)), nr_args)
    text = lines(made)
    for number, register in enumerate(registers):
        place = f"-{made.regs_off - 8 * number:#x}(%rbp)"
        assert f"mov %{register},{place}" in text and f"mov {place},%{register}" in text
    assert made.ip_off == made.nregs_off + 8 == made.regs_off + 16


def test_the_interpreter_gets_the_instructions_and_sleepers_their_own_functions() -> None:
    link = ENTRY._replace(insnsi=0xFFFF888000300048, cookie=0x1234, sleepable=True)
    made = prepared(TrampFlag.RESTORE_REGS, TrampLinks(fentry=(link,)))
    text = " ".join(lines(made))
    assert re.search(r"0xffff888000300048,%rsi call \S+ <fentry_prog>", text)
    assert "mov $0x1234,%edi" in text
    assert called(made)[::2] == ["__bpf_prog_enter_sleepable_recur", "__bpf_prog_exit_sleepable_recur"]


def test_a_function_with_more_arguments_than_registers_gets_none() -> None:
    with pytest.raises(JitError, match="at most 6"):
        prepared(TrampFlag.RESTORE_REGS, TrampLinks(fentry=(ENTRY,)), 7)
