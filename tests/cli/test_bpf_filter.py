"""``kprobesim bpf filter``, and classic filters in ``bpf asm``, ``bpf dis`` and ``bpf batch``."""

import json
from pathlib import Path

import pytest

from tests.bpf.classic.make_captures import FOLDER
from tests.bpf.classic.programs import listings
from tests.cli.console import Cli

CAPTURE = str(FOLDER / "mixed.pcap")
RET_ALL = "06000000ffffffff"


@pytest.fixture
def http(tmp_path: Path) -> str:
    path = tmp_path / "http.d"
    path.write_text(listings()["-d", "tcp port 80"])
    return str(path)


@pytest.mark.parametrize("engine", ["classic", "ebpf", "jit"])
@pytest.mark.parametrize("capture", ["mixed.pcap", "mixed.pcapng"])
def test_matching_packets_are_listed(cli: Cli, http: str, engine: str, capture: str) -> None:
    result = cli("bpf", "filter", http, str(FOLDER / capture), "--engine", engine)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0 and lines[-1] == "3 of 10 packets match."
    assert [line.split()[0] for line in lines[:-1]] == ["4", "5", "9"]
    assert lines[0].endswith("54 bytes, 54 kept")


def test_the_filter_may_be_standard_input(cli: Cli) -> None:
    assert "10 of 10" in cli("bpf", "filter", "-", CAPTURE, given="ret #-1").stdout


def test_a_capture_comes_through_a_pipe(cli: Cli, http: str) -> None:
    assert "3 of 10" in cli("bpf", "filter", http, "-", given=Path(CAPTURE).read_bytes()).stdout


def test_json_has_a_record_for_every_packet(cli: Cli, http: str) -> None:
    records = [json.loads(line) for line in cli("bpf", "filter", http, CAPTURE, "--json").stdout.splitlines()]
    assert [record["packet"] for record in records if record["match"]] == [4, 5, 9]
    assert records[3] == {
        "packet": 4, "time_ns": 1_700_000_003_003_000_000, "captured": 54, "length": 54, "ret": 262144, "match": True,
    }  # fmt: skip


def test_one_packet_is_stepped_with_the_bytes_each_instruction_looked_at(cli: Cli, http: str) -> None:
    result = cli("bpf", "filter", http, CAPTURE, "--packet", "5")
    lines = result.stdout.splitlines()
    assert lines[0] == "(000) ldh      [12]                          A=0x800 X=0x0  [12:14]=0800"
    assert any(line.startswith("(013) ldxb") and line.endswith("X=0x18  [14:15]=46") for line in lines)
    assert any("[08][00]" in line for line in lines)
    assert lines[-1] == "The filter returned 262144: the packet matches."


def test_the_steps_as_json_hold_registers_and_bytes(cli: Cli, http: str) -> None:
    steps = [
        json.loads(line) for line in cli("bpf", "filter", http, CAPTURE, "--packet", "3", "--json").stdout.splitlines()
    ]
    assert steps[0]["reads"] == [{"offset": 12, "size": 2, "bytes": "0806"}] and steps[0]["a"] == 0x0806
    assert [step["next"] for step in steps] == [1, 8, 19, None] and steps[-1]["ret"] == 0


def test_the_listing_needs_no_capture(cli: Cli, http: str) -> None:
    text = cli("bpf", "filter", http, "--listing").stdout
    assert text.splitlines()[0].split() == ["classic", "BPF", "eBPF", "x86-64"]
    assert "(019) ret      #0" in text and "push   %rbp" in text and "call bpf_skb_load_helper_16" in text
    rows = [json.loads(line) for line in cli("bpf", "filter", http, "--listing", "--json").stdout.splitlines()]
    assert rows[1]["ebpf"] == "(ac) w0 ^= w0" and rows[1]["x86"][0]["raw"] == "31c0"


def test_seccomp_has_rules_of_its_own(cli: Cli) -> None:
    source = "ld [0]\nret a"
    assert "*(u32 *)(r6 +0)" in cli("bpf", "filter", "-", "--listing", "--seccomp", given=source).stdout
    refused = cli("bpf", "filter", "-", "--listing", "--seccomp", given="ldb [0]\nret a")
    assert refused.exit_code == 1 and "Invalid argument (-EINVAL): Instruction 0: seccomp" in refused.stderr
    assert cli("bpf", "filter", "-", CAPTURE, "--seccomp", given=source).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "given", "status", "said"),
    [
        (["-"], "ret a", 2, "Give a capture"),
        (["-", CAPTURE], "ldh [12]", 1, "-EINVAL"),
        (["-", CAPTURE], "ldq [12]", 1, "no instruction 'ldq'"),
        (["-", CAPTURE], b"\xff\xfe", 1, "UTF-8"),
        (["-", CAPTURE], "; " + "x" * (1 << 20), 1, "longer than"),
        (["-", CAPTURE], "x" * (5 << 20), 1, "larger than"),
        (["-", CAPTURE, "--packet", "11"], "ret a", 1, "There is no packet 11: the capture has 10."),
        (["-", CAPTURE, "--packet", "0"], "ret a", 2, ""),
        (["-", __file__], "ret a", 1, "no capture"),
        (["-", "/nowhere"], "ret a", 1, "/nowhere: No such file or directory."),
        (["-", str(FOLDER)], "ret a", 1, "directory"),
        (["/nowhere", CAPTURE], "", 1, "/nowhere: No such file or directory."),
    ],
)
def test_what_cannot_be_done_is_said(
    cli: Cli, arguments: list[str], given: str | bytes, status: int, said: str
) -> None:
    result = cli("bpf", "filter", *arguments, given=given)
    assert result.exit_code == status and said in result.stderr


def test_asm_and_dis_read_every_form(cli: Cli) -> None:
    source = "ldh [12]\njeq #0x800, yes, no\nyes: ret #-1\nno: ret #0"
    shown = {}
    for form in ("d", "dd", "ddd", "c", "blob", "asm", "hex"):
        result = cli("bpf", "asm", "--classic", form, given=source)
        assert result.exit_code == 0
        shown[form] = result.stdout
    for text in shown.values():
        assert cli("bpf", "dis", "--classic", given=text).stdout == shown["d"]
    assert shown["blob"] == "4,40 0 0 12,21 0 1 2048,6 0 0 4294967295,6 0 0 0,\n"
    assert cli("bpf", "asm", "--classic", "dd", given="nonsense here").exit_code == 1


def batch(cli: Cli, *requests: dict[str, object]) -> list[dict[str, object]]:
    lines = "".join(json.dumps({"id": number, **request}) + "\n" for number, request in enumerate(requests))
    answers = [json.loads(line) for line in cli("bpf", "batch", given=lines).stdout.splitlines()]
    assert [answer.pop("id") for answer in answers] == list(range(len(requests)))
    return answers


def test_batches_check_filters_by_both_rules(cli: Cli) -> None:
    half = "2800000000000000" + RET_ALL
    answers = batch(
        cli,
        {"op": "cbpf_check", "mode": "socket", "insns": half},
        {"op": "cbpf_check", "mode": "seccomp", "insns": half},
        {"op": "cbpf_check", "mode": "socket", "insns": ""},
        {"op": "cbpf_check", "mode": "attic", "insns": RET_ALL},
        {"op": "cbpf_check", "insns": "06"},
        {"op": "cbpf_check"},
    )
    assert [answer.get("errno") for answer in answers] == [0, 22, 22, None, None, None]
    assert all("error" in answer for answer in answers[1:])


def test_batches_run_filters_over_a_packet_with_facts(cli: Cli) -> None:
    word = "2000000002000000" + "1600000000000000"
    mark = "20000000 14f0ffff 1600000000000000"
    hatype = "200000001cf0ffff 1600000000000000"
    by_number = {"20": 7, "weather": "fine"}
    answers = batch(
        cli,
        {"op": "cbpf_run", "insns": word, "data": "00010203", "frag": "0405", "env": {}},
        {"op": "cbpf_run", "insns": word, "data": "0001", "frag": "0203"},
        {"op": "cbpf_run", "insns": mark, "data": "00", "frag": "", "env": {"mark": "0x1234"}},
        {"op": "cbpf_run", "insns": mark, "data": "00", "env": by_number, "engine": "jit"},
        {"op": "cbpf_run", "insns": hatype, "data": "00", "env": {"dev": {"type": 772, "ifindex": 1}}},
        {"op": "cbpf_run", "insns": hatype, "data": "00", "env": {"dev": None}},
        {"op": "cbpf_run", "insns": "2800000000000000", "data": ""},
        {"op": "cbpf_run", "insns": word, "data": "00", "env": [1]},
        {"op": "cbpf_run", "insns": word, "data": "00", "env": {"mark": [1]}},
        {"op": "cbpf_run", "insns": word, "data": "0"},
    )
    assert answers[:4] == [{"ret": 0x02030405}, {"ret": 0}, {"ret": 0x1234}, {"ret": 7, "ignored": ["weather"]}]
    assert answers[4:6] == [{"ret": 772}, {"ret": 0}]
    assert all(list(answer) == ["error"] for answer in answers[6:])
