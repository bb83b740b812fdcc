"""The walk as data: paths, the same instruction again, where values come from and where they go."""

from kprobesim.bpf.verifier import verify_assembly
from kprobesim.bpf.verifier.walk import Walk
from tests.bpf.verifier.bench import check, refused

BRANCH = """
    r6 = *(u64 *)(r1 +0)
    r7 = 1
    if r6 > 9 goto big
    r7 = 2
big:
    r7 += 1
    r0 = r7
    exit
"""


def walk(text: str) -> Walk:
    return check(text, log_level=0).walk()


def test_paths_branch_and_end() -> None:
    steps = walk(BRANCH)
    assert [visit.insn for visit in steps] == [0, 1, 2, 3, 4, 5, 6, 4, 5, 6]
    assert steps.children(2) == (3, 7)
    assert (steps.taken(3), steps.taken(7), steps.taken(4)) == (False, True, None)
    assert [steps[position].insn for position in steps.path(9)] == [0, 1, 2, 4, 5, 6]
    assert (steps.children(6), steps.children(9)) == ((), ())


def test_the_same_instruction_on_other_paths() -> None:
    steps = walk(BRANCH)
    assert steps.at(5) == (5, 8)
    assert (steps.next_same(5), steps.previous_same(8)) == (8, 5)
    assert (steps.next_same(8), steps.previous_same(5)) == (None, None)
    assert (steps.value(5, "R7"), steps.value(8, "R7")) == ("3", "2")


def test_definitions_are_those_of_the_path() -> None:
    steps = walk(BRANCH)
    assert [origin.text for origin in steps.origins(6, "R0")] == ["(bf) r0 = r7", "(07) r7 += 1", "(b7) r7 = 2"]
    assert [origin.text for origin in steps.origins(9, "R0")] == ["(bf) r0 = r7", "(07) r7 += 1", "(b7) r7 = 1"]


def test_uses_go_down_every_path() -> None:
    steps = walk(BRANCH)
    assert steps.uses(2, "R7") == [7]
    assert steps.uses(1, "R6") == [2]
    assert steps.uses(4, "R7") == [4]


def test_pruned_paths_say_where_the_same_was_seen() -> None:
    text = "r6 = *(u64 *)(r1 +0)\nif r6 > 9 goto l\nr0 = 1\nl:\nr0 = 2\nr0 = 3\nexit\n"
    steps = check(text, log_level=0, test_state_freq=True).walk()
    last = steps[len(steps) - 1]
    assert last.outcome == "pruned"
    assert last.pruned_at is not None
    seen = steps.position(last.pruned_at)
    assert seen is not None
    assert steps[seen].insn == last.insn
    assert steps[seen].remembered


def test_only_the_failing_path_is_kept_for_a_refusal() -> None:
    verdict = refused("r6 = *(u64 *)(r1 +0)\nif r6 > 9 goto l\nr0 = 1\nexit\nl:\nr0 = r8\nexit\n", "R8 !read_ok")
    assert [visit.insn for visit in verdict.last_path()] == [0, 1, 4]
    assert [visit.insn for visit in verdict.walk()] == [0, 1, 2, 3, 4]


def test_records_are_bounded() -> None:
    verdict = check("r6 = 0\nl:\nr6 += 1\nif r6 < 3000 goto l\nr0 = r9\nexit\n", log_level=0)
    path = verdict.last_path(limit=100)
    assert len(path) == 100
    assert path.dropped == 1 + 2 * 3000 + 1 - 100
    assert path[99].message == "R9 !read_ok"
    assert verdict.walk(limit=10).dropped > 5000


def test_nothing_is_kept_unless_asked_for() -> None:
    verdict = check(BRANCH, log_level=0)
    assert verdict.visits == []
    assert len(verdict.walk()) == 10


def test_values_returned_by_functions() -> None:
    steps = walk("call sub\nr6 = r0\nr0 = 0\nexit\nsub:\nr0 = 4\nexit\n")
    place = steps.at(3)[0]
    assert [origin.kind for origin in steps.origins(place, "R6")] == ["copied", "returned"]


def test_a_walk_needs_no_log() -> None:
    from kprobesim.bpf import assemble

    verdict = verify_assembly(assemble("r0 = 0\nexit\n"), log_level=0)
    assert [visit.text for visit in verdict.walk()] == ["(b7) r0 = 0", "(95) exit"]
