"""The handlers of an aggregator: what several probes at one address share.

Follows Linux 6.1 kernel/kprobes.c: aggr_pre_handler, aggr_post_handler, and opt_pre_handler's walk over the list.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain

from kprobesim.kprobes.kprobe import Kprobe
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.machine import Answer, GuestCall, then

__all__ = ["aggr_post_handler", "aggr_pre_handler", "handlers_answers"]


def aggr_pre_handler(site: Kprobe, regs: PtRegs) -> Answer:
    """Run the children's pre_handlers, the latest first, until one's answer is not zero (AGG-02, AGG-03)."""
    children = site.children or ()
    if len(children) == 1 and children[0].pre_handler is not None and not children[0].is_disabled:
        # As most have: the walk over several, which a handler may change, costs a hit more than all else here.
        return then(children[0].pre_handler(children[0], regs), _as_one)
    answers = handlers_answers(site, regs)
    for answer in answers:
        if not isinstance(answer, int):
            return _aggr_by_way_of_the_guest(answer, answers)
        if answer:
            return 1
    return 0


def handlers_answers(site: Kprobe, regs: PtRegs) -> Iterator[Answer]:
    """Run the children's pre_handlers one after the other, the latest first, as the answers are asked for."""
    for child in tuple(site.children or ()):
        if child.pre_handler is None or child.is_disabled or child not in (site.children or ()):
            continue  # also one that was removed while another's handler had the guest do something
        yield child.pre_handler(child, regs)


def _aggr_by_way_of_the_guest(first: Answer, others: Iterator[Answer]) -> Generator[GuestCall, int, int]:
    for answer in chain((first,), others):
        if answer if isinstance(answer, int) else (yield from answer):
            return 1
    return 0


def _as_one(answer: int) -> int:
    return int(answer != 0)


def aggr_post_handler(site: Kprobe, regs: PtRegs, flags: int) -> None:
    """Run the children's post_handlers (AGG-04)."""
    for child in site.children or ():
        if child.post_handler is not None and not child.is_disabled:
            child.post_handler(child, regs, flags)
