"""The real tool's output, form by form. Reference: acceptance/linux-6.1/08_bpftool.txt."""

import json
import re

import pytest

from kprobesim.bpf import decode
from kprobesim.tracing.bpftool.translated import Translated
from kprobesim.tracing.bpftool.visual import dot_graph
from tests.tracing.bpftool.tool import REAL, machine, made, masked, out, real, tool

pytestmark = pytest.mark.skipif(not REAL.exists(), reason="the captured sessions of a real Linux are not here")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("prog show id 1", "bpftool prog show"),
        ("map show id 1", "bpftool map show"),
        ("link show", "bpftool link show"),
        ("perf show", "bpftool perf show"),
        ("map dump name cnt", "bpftool map dump name cnt"),
        ("-j map dump name cnt", "bpftool -j map dump name cnt"),
        ("map lookup name cnt key 0 0 0 0", "bpftool map lookup name cnt key 0 0 0 0"),
        ("map getnext name cnt", "bpftool map getnext name cnt"),
    ],
)
def test_text_is_the_real_tools_up_to_numbers(ours: str, theirs: str) -> None:
    lab = made("ok_count")
    mine, captured = out(ours, lab), real(theirs)
    if ours.startswith("-j"):
        # The bytes of a counter are a matter of chance.
        mine, captured = (re.sub(r"0x[0-9a-f]{2}", "0xNN", text) for text in (mine, captured))
    assert masked(mine).rstrip() == masked(captured).rstrip()


def test_pretty_json_is_laid_out_as_the_real_tool_does_it() -> None:
    lab = made("ok_count")
    assert masked(out("-j -p prog show", lab)) == masked(real("bpftool -j -p prog show"))
    bytes_ = re.compile(r'"0x[0-9a-f]{2}"')
    mine, captured = out("-p map dump name cnt", lab), real("bpftool -p map dump name cnt")
    assert masked(bytes_.sub("B", mine)) == masked(bytes_.sub("B", captured))


def test_the_tag_is_the_one_that_linux_computes() -> None:
    """The same instructions and the same map by descriptor: aa93b500236fde34."""
    assert "tag aa93b500236fde34  gpl" in out("prog show name count_read")
    assert "tag aa93b500236fde34  gpl" in real("bpftool prog show")


def test_types_are_dumped_line_by_line_as_the_real_tool_does() -> None:
    """Only the names of pt_regs' fields differ: the captured program had user space's."""
    captured = next(
        part for part in REAL.read_text(encoding="utf-8").split("\n$ ") if part.startswith("bpftool btf dump id")
    )
    theirs = captured[: captured.index("(exit")].splitlines()[1:]
    mine = out("btf dump prog name count_read").splitlines()
    names = re.compile(r"^\t'\w+'")
    assert [names.sub("\t'_'", line) for line in mine] == [names.sub("\t'_'", line) for line in theirs]


def _instructions(text: str) -> list[str]:
    """Lines of a dump without slot numbers; calls without their address."""
    lines = [re.sub(r"^ +\d+: ", "", line) for line in text.splitlines()]
    lines = [re.sub(r"^       18 11 00 00 \S\S", "       18 11 00 00 ID", line) for line in lines]
    return [re.sub(r"#-?\d+$", "", re.sub(r"id:\d+", "id:N", line)) for line in lines]


@pytest.mark.parametrize("option", ["", " linum", " opcodes"])
def test_a_dump_is_the_real_one_up_to_the_look_up(option: str) -> None:
    """Linux writes the look-up in an array out; the rest of the lines are the same, in the same order."""
    mine = _instructions(out(f"prog dump xlated name count_read{option}"))
    theirs = _instructions(real(f"bpftool prog dump xlated name count_read{option}"))
    if option == " linum":
        mine, theirs = ([re.sub(r"file:\S+", "file:F", line) for line in lines] for lines in (mine, theirs))
    same = [line for line in mine if line in theirs]
    different = [line for line in mine if line not in theirs]
    position = 0
    for line in same:
        position = theirs.index(line, position) + 1
    assert [line for line in different if "lookup_elem" not in line and not line.startswith("       85 ")] == []


def _real_program() -> Translated:
    """The captured program's instructions out of its dump with opcodes."""
    lines = real("bpftool prog dump xlated name count_read opcodes").splitlines()
    code = "".join(line for line in lines if re.fullmatch(r" {7}[0-9a-f]{2}( [0-9a-f]{2})+", line))
    return Translated(decode(bytes.fromhex(code)), {}, {}, {})


def test_the_graph_of_the_captured_instructions_is_the_captured_graph() -> None:
    assert dot_graph(_real_program()) == real("bpftool prog dump xlated name count_read visual")


def test_the_captured_instructions_are_printed_as_captured() -> None:
    program = _real_program()
    captured = re.findall(r"^ *(\d+): (.*)$", real("bpftool prog dump xlated name count_read"), re.MULTILINE)
    assert [(slot, program.text(int(slot))) for slot, _ in captured] == captured


def test_structs_as_keys_and_values_are_shown_member_by_member() -> None:
    """A char array is a string; the values' members keep their order."""
    block = next(part for part in REAL.read_text(encoding="utf-8").split("\n$ ") if part.startswith("L /bpf/ok_rich.o"))
    theirs = json.loads(block[block.index("[{") : block.index("\n]\n") + 2])
    mine = json.loads(out("map dump name stats"))
    for element in mine:
        assert [list(element), list(element["key"]), list(element["value"])] == [
            list(theirs[0]),
            list(theirs[0]["key"]),
            list(theirs[0]["value"]),
        ]
    assert {element["key"]["comm"] for element in mine} >= {"cat"}
    assert masked(out("map show")).splitlines()[3:] == [
        line for line in masked(block).splitlines() if re.match(r"N: (hash|array)|\tkey N|\tbtf_id", line)
    ]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("prog show id 99999", "get by id (99999): No such file or directory"),
        ("map update name cnt key 7 0 0 0 value 1 0 0 0 0 0 0 0", "update failed: Argument list too long"),
        ("map delete name cnt key 0 0 0 0", "delete failed: Invalid argument"),
        ("map update name cnt key 0 0 0 0 value 1 0 0 0 0 0 0 0 noexist", "update failed: File exists"),
        ("map delete name stats key" + " 9" * 24, "delete failed: No such file or directory"),
        ("map update name cnt key 1 0 value 1", "error parsing byte: value"),
    ],
)
def test_errors_have_the_real_tools_words_and_exit_status(command: str, error: str) -> None:
    """All of these messages are in the captured session."""
    answer = tool(command)
    assert (answer.status, answer.out, answer.err) == (255, "", f"Error: {error}\n")
    assert f"Error: {error}\n" in REAL.read_text(encoding="utf-8")
    told = tool(f"-j {command}")
    assert (told.status, json.loads(told.out)) == (255, {"error": error})


def test_a_look_up_that_finds_nothing_is_no_error() -> None:
    key = "09" + " 00" * 7 + " " + " 00" * 8 + "\n" + " ".join(["00"] * 8)
    answer = tool("map lookup name stats key 9" + " 0" * 23)
    assert (answer.status, answer.out) == (0, f"key:\n{key}\n\nNot found\n")
    assert "key:\n09 00 00 00\n\nNot found\n" in REAL.read_text(encoding="utf-8")


def test_the_machine_is_the_one_that_the_listings_are_of() -> None:
    assert [program.name for program in machine().bpf.programs.values()] == ["count_read", "rich"]
