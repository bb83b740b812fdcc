"""BPF beside x86: the records that a screen shows, and the command that prints them."""

from click.testing import CliRunner, Result

from kprobesim.bpf import Insn, Level
from kprobesim.bpf.jit import JitConfig, listing, listing_text
from kprobesim.cli.bpf import command
from kprobesim.image import Instruction
from tests.bpf.jit.jit_rig import ENTRY, compiled

TEXT = "r0 = 0; goto +0; if r1 == 0 goto +1; exit; call f; exit; f: r6 = 1; r0 = r6; exit"


def test_every_instruction_has_its_code() -> None:
    jited = compiled(TEXT)
    groups = listing(jited)
    assert [group.slot for group in groups] == [None, 0, 1, 2, 3, 4, 5, None, 6, 7, 8]
    assert [group.function for group in groups] == [0] * 7 + [1] * 4
    assert [group.slot for group in groups if group.epilogue] == [3, 8]
    for number, image in enumerate(jited.images):
        mine = [group for group in groups if group.function == number]
        assert b"".join(group.code for group in mine) == image.code
        assert all(group.address == image.address + group.offset for group in mine)
    for group in groups:
        assert b"".join(insn.raw for insn in group.x86) == group.code
        assert all(isinstance(insn, Instruction) for insn in group.x86)
    assert groups[2].text == "(05) goto pc+0" and groups[2].code == b""
    assert groups[0].text == "prologue"


def test_the_kernels_own_opcodes_are_shown_as_what_they_were() -> None:
    insns = (Insn(0x39, 0, 1, 8), Insn(0xF5), Insn(0xC2), Insn(0x95))
    texts = [group.text for group in listing(compiled(insns), Level.V3, None)]
    assert texts[1:] == ["(79) r0 = *(u64 *)(r1 +8)", "(85) call bpf_tail_call#12", "(c2) nospec", "(95) exit"]


def test_the_listing_as_text() -> None:
    text = listing_text(compiled("r1 = 0x123456789 ll; call f; exit; f: exit", config=JitConfig(sls=False)))
    assert text == (
        "prologue\n"
        "ffffffffc0000008:\t0f 1f 44 00 00       \tnopl   0x0(%rax,%rax,1)\n"
        "ffffffffc000000d:\t66 90                \txchg   %ax,%ax\n"
        "ffffffffc000000f:\t55                   \tpush   %rbp\n"
        "ffffffffc0000010:\t48 89 e5             \tmov    %rsp,%rbp\n"
        "   0: (18) r1 = 0x123456789\n"
        "ffffffffc0000013:\t48 bf 89 67 45 23 01 \tmovabs $0x123456789,%rdi\n"
        "ffffffffc000001a:\t00 00 00\n"
        "   2: (85) call pc+1\n"
        "ffffffffc000001d:\te8 26 00 00 00       \tcall   0xffffffffc0000048 <func_1+0x0>\n"
        "   3: (95) exit\n"
        "ffffffffc0000022:\tc9                   \tleave\n"
        "ffffffffc0000023:\tc3                   \tret\n"
        "prologue\n"
        "ffffffffc0000048:\t0f 1f 44 00 00       \tnopl   0x0(%rax,%rax,1)\n"
        "ffffffffc000004d:\t66 90                \txchg   %ax,%ax\n"
        "ffffffffc000004f:\t55                   \tpush   %rbp\n"
        "ffffffffc0000050:\t48 89 e5             \tmov    %rsp,%rbp\n"
        "   4: (95) exit\n"
        "ffffffffc0000053:\tc9                   \tleave\n"
        "ffffffffc0000054:\tc3                   \tret\n"
    )


def invoke(source: str, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, input=source)


def test_the_command_takes_assembly_and_hex() -> None:
    program = ".map m hash key=4 value=8 max_entries=1\nr1 = map m\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nexit\n"
    result = invoke(program, "jit")
    assert result.exit_code == 0, result.output
    assert "sub    $0x8,%rsp" in result.output
    assert "<bpf_map_lookup_elem+0x0>" in result.output
    result = invoke("b700000005000000 9500000000000000", "jit", "--address", hex(ENTRY + 64), "--stack", "16")
    assert result.exit_code == 0, result.output
    assert f"{ENTRY + 64:x}:\t0f 1f 44 00 00" in result.output
    assert "sub    $0x10,%rsp" in result.output


def test_the_command_says_what_is_wrong() -> None:
    for arguments in (("jit", "--address", "x"), ("jit", "--address", "0x1000")):
        result = invoke("b700000005000000 9500000000000000", *arguments)
        assert result.exit_code != 0 and result.exception is not None
        assert str(result.exception)


def test_exec_runs_on_either_engine() -> None:
    program = "79 10 00 00 00 00 00 00  0f 20 00 00 00 00 00 00  95 00 00 00 00 00 00 00"
    for options in ((), ("--jit",)):
        result = invoke(program, "exec", "2a00000000000000", *options)
        assert result.output == "0x32\n"
