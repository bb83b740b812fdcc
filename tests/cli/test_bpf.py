"""``kprobesim bpf``: assembler, disassembler, execution, batches."""

import json

import pytest

from tests.cli.console import Cli
from tests.lab.experiment import by_pid

RETURN_42 = "b7000000 2a000000\n95000000 00000000"
LOOP = "0500ffff00000000 9500000000000000"


def test_what_is_assembled_is_disassembled_to_the_same_code(cli: Cli) -> None:
    source = "r0 = 7\nr1 = *(u32 *)(r10 -4)\nif r0 s> -1 goto +1\nr0 = 0x1122334455667788 ll\nexit"
    code = cli("bpf", "asm", given=source)
    assert code.exit_code == 0 and len(code.stdout.splitlines()) == 6
    text = cli("bpf", "dis", given=code.stdout)
    assert text.exit_code == 0
    assert "r0 = 7" in text.stdout and "r1 = *(u32 *)(r10 -4)" in text.stdout and "0x1122334455667788" in text.stdout


def test_the_demos_program_is_assembled(cli: Cli) -> None:
    assert len(cli("bpf", "asm", given=by_pid()).stdout.splitlines()) == 24


@pytest.mark.parametrize(
    ("program", "memory", "r0"),
    [(RETURN_42, "", "0x2a"), ("6110000000000000 9500000000000000", "01020304", "0x4030201")],
)
def test_a_program_runs_over_memory(cli: Cli, program: str, memory: str, r0: str) -> None:
    result = cli("bpf", "exec", *([memory] if memory else []), given=program)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{r0}\n", "")


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (["exec"], "", "-E2BIG"),
        (["exec"], "zz", "not hex"),
        (["exec"], "9", "not hex"),
        (["exec"], b"\xff\xfe", "not"),
        (["exec"], "95", ""),
        (["exec"], "ff00000000000000 9500000000000000", ""),
        (["exec"], LOOP, "1000000 instructions"),
        (["exec"], "6110000000000000 9500000000000000", ""),
        (["exec", "0g"], RETURN_42, "memory is not hex"),
        (["dis"], "zz", "not hex"),
        (["dis"], "95", ""),
        (["asm"], "nonsense", "line 1, column 1"),
        (["asm"], "call bpf_nosuch\nexit", "no helper"),
        (["asm"], b"\xff\xfe", "UTF-8"),
    ],
)
def test_bad_programs_are_status_1_with_a_reason(cli: Cli, arguments: list[str], given: str | bytes, said: str) -> None:
    result = cli("bpf", *arguments, given=given)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("kprobesim: ") and said in result.stderr


def test_input_is_bounded(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kprobesim.cli.bpf._MAX_INPUT", 100)
    monkeypatch.setattr("kprobesim.cli.bpf._MAX_LINE", 100)
    assert "larger than 100" in cli("bpf", "exec", given="9" * 101).stderr
    result = cli("bpf", "batch", given="x" * 350 + "\n" + '{"op": "nosuch"}\n' + "y" * 100)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["100 bytes" in answer["error"] for answer in answers] == [True, False, True]


HOSTILE = [
    b"x",
    b"[]",
    b"1",
    b"{}",
    b"\xff\xfe\x00",
    b'"\\ud800"',
    b"[" * 100_000,
    b'{"op": "run"}',
    b'{"op": ["run"]}',
    b'{"op": "run", "insns": 5}',
    b'{"op": "run", "insns": "9"}',
    b'{"op": "run", "insns": ""}',
    b'{"op": "run", "insns": "9500000000000000", "mem_size": 1e300}',
    b'{"op": "run", "insns": "9500000000000000", "mem_size": -1}',
    b'{"op": "run", "insns": "9500000000000000", "mem_size": ' + b"9" * 5000 + b"}",
    b'{"op": "run", "insns": "9500000000000000", "stack": "x"}',
    b'{"op": "run", "insns": "9500000000000000", "engine": {}}',
    b'{"op": "run", "insns": "0500ffff000000009500000000000000"}',
    b'{"op": "decode"}',
    b'{"op": "decode", "insns": null}',
]


def test_a_batch_answers_every_line_and_never_dies(cli: Cli) -> None:
    good = b'{"id": 7, "op": "run", "insns": "b70000002a0000009500000000000000"}'
    result = cli("bpf", "batch", given=b"\n".join([*HOSTILE, b"", good]))
    assert (result.exit_code, result.stderr) == (0, "")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(answers) == len(HOSTILE) + 1
    assert all("error" in answer for answer in answers[:-1])
    assert answers[-1] == {"id": 7, "r0": "0x2a"}
