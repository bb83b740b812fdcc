"""Checkpoints: exact, sharing what is equal, and never too many."""

import hashlib
from itertools import pairwise

from kprobesim.machine.checkpoints import Checkpoint, Checkpoints
from tests.guests.board import DATA, Guest
from tests.machine.busy import Busy


def many(count: int) -> Checkpoints:
    """Checkpoints of one moment, kept as if they were of many."""
    busy = Busy(1)
    checkpoints = Checkpoints(busy.machine, [busy.counter])
    present = checkpoints.take(0)
    for insn in range(count):
        checkpoints.keep(present._replace(insn=insn))
    return checkpoints


def places(checkpoints: Checkpoints, count: int) -> list[int]:
    return sorted({checkpoints.before(insn, 0).insn for insn in range(count)})


def test_thinning_keeps_the_start_and_all_recent_ones() -> None:
    kept = places(many(2_000), 2_000)
    assert len(kept) <= 160
    assert kept[0] == 0
    assert kept[-64:] == list(range(1_936, 2_000))


def test_thinning_leaves_no_gap_that_grows_without_bound() -> None:
    kept = places(many(400), 400)
    gaps = [after - before for before, after in pairwise(kept)]
    assert max(gaps) <= 32


def test_a_restored_checkpoint_is_the_machine_as_it_was() -> None:
    busy = Busy(2)
    checkpoints = Checkpoints(busy.machine, [busy.counter])
    states: list[tuple[Checkpoint, dict[str, object]]] = []
    for insn in (0, 700, 1_400, 3_000):
        busy.machine.run(insn)
        while busy.machine.suspended:
            busy.machine.run(busy.machine.retired + 1)
        states.append((checkpoints.take(0), busy.state()))
    for checkpoint, state in (states[2], states[0], states[3], states[1]):
        checkpoints.restore(checkpoint)
        assert busy.state() == state


def test_neighbours_share_the_pages_that_did_not_change() -> None:
    busy = Busy(1)
    checkpoints = Checkpoints(busy.machine, [])
    busy.machine.run(500)
    first = checkpoints.take(0)
    busy.machine.run(900)
    second = checkpoints.take(0)
    changed = [number for number, page in enumerate(first.pages) if page is not second.pages[number]]
    assert 0 < len(changed) < 8
    assert DATA // 4096 in changed


def test_no_checkpoint_is_offered_that_has_more_inputs_than_asked_for() -> None:
    busy = Busy(1)
    checkpoints = Checkpoints(busy.machine, [])
    start = checkpoints.take(0)
    for insn, inputs in ((0, 0), (10, 0), (10, 1), (20, 2)):
        checkpoints.keep(start._replace(insn=insn, inputs=inputs))
    assert (checkpoints.before(15, 1).insn, checkpoints.before(15, 1).inputs) == (10, 1)
    assert checkpoints.before(15, 0).inputs == 0
    assert checkpoints.before(30, 1).insn == 10
    checkpoints.forget_after(10, 0)
    assert checkpoints.before(99, 9).inputs == 0


def test_a_checkpoint_holds_all_of_ram() -> None:
    guest = Guest()
    guest.code.mov("rax", 0x1122).store(DATA).op("hlt")
    machine = guest.boot()
    checkpoints = Checkpoints(machine, [])
    machine.run(1_000)
    checkpoint = checkpoints.take(0)
    digest = hashlib.sha256(b"".join(checkpoint.pages)).digest()
    assert digest == hashlib.sha256(machine.ram.bytes).digest()
