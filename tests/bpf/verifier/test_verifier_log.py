"""The log of sections 3.1 to 3.6, and the walk as records."""

from kprobesim.bpf import Insn
from kprobesim.bpf.batch import answer
from kprobesim.bpf.verifier import LEVEL1, LEVEL2, STATS, parse_map_spec, verify
from tests.bpf.verifier.bench import accepted, check

BRANCH = "r0 = *(u64 *)(r1 +0)\nif r0 == 5 goto bad\nr0 = 1\nexit\nbad:\nr0 = r9\nexit\n"


def test_level_1_of_an_accepted_program_is_one_line() -> None:
    """3.1."""
    log = accepted("r0 = 0\nexit\n", log_level=LEVEL1).log
    assert log == ("processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n")


def test_level_1_of_a_rejected_program_is_the_failing_path() -> None:
    """3.1: cut back to where the path was pushed, which glues lines together."""
    lines = check(BRANCH, log_level=LEVEL1).log.splitlines()
    assert lines[2:5] == [
        "1: (15) if r0 == 0x5 goto pc+2 4: R0_w=5 R1=ctx(off=0,imm=0) R10=fp0",
        "4: (bf) r0 = r9",
        "R9 !read_ok",
    ]


def test_level_0_says_nothing_but_the_rejection_carries_its_message() -> None:
    """3.1."""
    verdict = check(BRANCH, log_level=0)
    assert verdict.log == ""
    assert verdict.rejected is not None
    assert (verdict.rejected.message, verdict.rejected.insn, verdict.errno) == ("R9 !read_ok", 4, 13)


def test_statistics() -> None:
    """3.1."""
    text = "call sub\nexit\nsub:\n*(u64 *)(r10 -8) = 0\nr0 = 0\nexit\n"
    lines = accepted(text, log_level=LEVEL1 | STATS).log.splitlines()
    assert lines[0].startswith("verification time ")
    assert lines[1] == "stack depth 0+8"


def test_a_log_that_does_not_fit_fails_the_load() -> None:
    """3.1: ENOSPC, after all the work."""
    verdict = check("r0 = 0\nexit\n", log_size=128)
    assert verdict.errno == 28
    assert len(verdict.log) == 127
    assert verdict.stats.insn_processed == 2


def test_levels_and_buffers_that_make_no_sense() -> None:
    """3.1."""
    assert check("r0 = 0\nexit\n", log_level=64).errno == 22
    assert check("r0 = 0\nexit\n", log_size=100).errno == 22


def test_columns() -> None:
    """3.4: at least 40, in steps of 8, with room for the line."""
    log = accepted("r0 = 0\nr1 = 0x1122334455667788\n*(u64 *)(r10 -8) = 0\nexit\n").log
    assert "0: (b7) r0 = 0                        ; R0_w=0\n" in log
    assert "1: (18) r1 = 0x1122334455667788       ; R1_w=1234605616436508552\n" in log


def test_state_fields() -> None:
    """3.3: only what differs from the default and from the 64-bit twin."""
    log = accepted("r0 = *(u32 *)(r1 +0)\nr0 += -1\nw2 = w0\nr2 = r10\nexit\n").log
    assert "; R0_w=scalar(umax=4294967295,var_off=(0x0; 0xffffffff)) R1=ctx(off=0,imm=0)\n" in log
    assert "; R0_w=scalar(smin=-1,smax=4294967294)\n" in log
    assert "; R2_w=fp0 R10=fp0\n" in log


def test_source_lines_come_before_their_instructions_once() -> None:
    """3.2."""
    log = accepted("r0 = 0\nr0 = 1\nexit\n", source_lines={0: "  int x = 0;", 2: "return x;"}).log
    assert log.splitlines()[2:7] == [
        "; int x = 0;",
        "0: (b7) r0 = 0                        ; R0_w=0",
        "1: (b7) r0 = 1                        ; R0_w=1",
        "; return x;",
        "2: (95) exit",
    ]


def test_the_walk_as_records() -> None:
    """Every visit with the state before and after, by path."""
    visits = check(BRANCH, log_level=0, record=100).visits
    assert [(v.insn, v.path, v.outcome) for v in visits] == [
        (0, 0, "next"),
        (1, 0, "next"),
        (2, 0, "next"),
        (3, 0, "exit"),
        (4, 1, "rejected"),
    ]
    assert visits[1].waiting == 4
    assert visits[1].text == "(15) if r0 == 0x5 goto pc+2"
    assert visits[4].after is None
    assert visits[4].message == "R9 !read_ok"
    names = {place.name: place for place in visits[4].before[0].places()}
    assert names["R0"].text == "5"
    assert names["R0"].written
    assert names["R0"].reg.umax == 5
    assert visits[0].before[0].line == "R1=ctx(off=0,imm=0) R10=fp0"


def test_records_are_limited() -> None:
    verdict = accepted("r0 = 0\nl:\nr0 += 1\nif r0 < 50 goto l\nexit\n", log_level=0, record=10)
    assert len(verdict.visits) == 10
    assert verdict.visits_dropped == 102 - 10


def test_records_show_pruned_paths() -> None:
    text = "r0 = *(u64 *)(r1 +0)\nif r0 == 0 goto pc+0\nr0 = 0\nexit\n"
    visits = accepted(text, record=100, test_state_freq=True).visits
    assert visits[-1].outcome == "pruned"


def test_batch_mode() -> None:
    request = {"op": "verify", "prog_type": "KPROBE", "log_level": LEVEL2, "insns": "9500000000000000", "id": 3}
    reply = answer(request)
    assert reply["errno"] == 13
    assert "R0 !read_ok\nprocessed 1 insns (limit 1000000) " in reply["log"]
    assert "no program type" in answer({"op": "verify", "prog_type": "X", "insns": ""})["error"]


def test_map_descriptions() -> None:
    plain = parse_map_spec("HASH key=8 val=48 max=1")
    assert (plain.type, plain.key_size, plain.value_size, plain.max_entries) == ("hash", 8, 48, 1)
    flagged = parse_map_spec("ARRAY 4/48/1 BPF_F_RDONLY_PROG (elem0 as array_48b)")
    assert (flagged.key_size, flagged.value_size, flagged.can_write, flagged.can_read) == (4, 48, False, True)
    outer = parse_map_spec("ARRAY_OF_MAPS 4/4/1 (inner: ARRAY 4/8/2)")
    assert outer.inner is not None
    assert (outer.value_size, outer.inner.value_size, outer.inner.max_entries) == (4, 8, 2)


def test_maps_that_are_not_there() -> None:
    """Standard input is a file, but no map; 9 is no file at all."""
    for number, errno in ((0, 22), (9, 9)):
        insns = [Insn(0x18, 1, 1, 0, number), Insn(0), Insn(0xB7), Insn(0x95)]
        verdict = verify(insns, "kprobe")
        assert verdict.errno == errno
        assert f"fd {number} is not pointing to valid bpf_map\n" in verdict.log
