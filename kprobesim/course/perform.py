"""Doing the actions of a lesson to a machine, as long as that may take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kprobesim.course.actions import Action, event_pattern, grain_and_count
from kprobesim.course.conditions import as_number, as_text
from kprobesim.course.strict import read_text
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab import Stop

if TYPE_CHECKING:
    from kprobesim.kprobes import Kprobe, PtRegs
    from kprobesim.lab import Event, Lab

__all__ = ["Budget", "perform"]

_PATIENCE: Final = 150


class Budget:
    """How long something may take; asked by the machine every few million instructions or few hundred steps.

    Counted and not timed, so that the same lesson gives the same answer everywhere.

    Args:
        patience: how often it may be asked.
        interrupt: asked each time as well: whether a person wants this to end.
    """

    def __init__(self, patience: int = _PATIENCE, interrupt: Callable[[], bool] = lambda: False) -> None:
        self._left = patience
        self._interrupt = interrupt
        self.interrupted = False

    def __call__(self) -> bool:
        """Whether to stop here.

        Raises:
            KprobesimError: it takes too long.
        """
        self._left -= 1
        if self._left < 0:
            raise KprobesimError("This takes too long: the machine was still busy.", hint="Is there an endless loop?")
        self.interrupted = self.interrupted or self._interrupt()
        return self.interrupted


def perform(lab: Lab, action: Action, folder: Path, budget: Budget) -> str:
    """Do an action to a machine.

    Args:
        lab: the machine.
        action: neither ``answer`` nor ``predict``, which are the session's.
        folder: where ``load`` finds its files.
        budget: how long it may take.

    Returns:
        What the console printed meanwhile.

    Raises:
        KprobesimError: it cannot be done, or takes too long.
    """
    before = len(lab.console)
    _DO[action.verb](lab, action, folder, budget)
    return lab.console[before:]


def _to_rest(lab: Lab, budget: Budget) -> None:
    lab.run(interrupt=budget)


def _load(lab: Lab, action: Action, folder: Path, _: Budget) -> None:
    name = action.words[0]
    lab.load_program(read_text(folder, name), Path(name).stem, verified=len(action.words) == 1)


def _program(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.load_program(action.text, action.words[0])


def _attach(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.attach(action.words[0], action.words[1], returns=len(action.words) == 3)


def _detach(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    link = lab.attached(action.words[0])
    if link is not None:
        return lab.detach(link)
    raise BadInput(f"No program named {action.words[0][:40]!r} is attached.")


def _probe(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    if action.words[2:] == ("post",):
        lab.kprobe(action.words[0], name=action.words[1], pre_handler=_go_on, post_handler=_look_on)
    else:
        lab.kprobe(action.words[0], name=action.words[1] if len(action.words) == 2 else "")


def _go_on(_: Kprobe, __: PtRegs) -> int:
    return 0


def _look_on(_: Kprobe, __: PtRegs, ___: int) -> None:
    """That there is a post_handler decides how a probe is served; it need not do anything for that."""


def _unprobe(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    wanted = action.words[0]
    address = as_number(lab, wanted)
    for probe in lab.manager.kprobes:
        if probe.name == wanted or (address is not None and probe.addr == address):
            return lab.unregister_kprobe(probe)
    raise BadInput(f"There is no probe at {wanted[:60]!r}.")


def _listen(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.open_perf_buffer(action.words[0])


def _consume(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    name = action.words[0]
    if any(which.name == name and which.type == "perf_event_array" for which in lab.maps()):
        lab.read_perf_buffer(name)
    else:
        lab.read_ringbuf(name)


def _jit(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.set_bpf_jit(int(action.words[0] == "on"))


def _type(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.type(action.words[0])


def _command(lab: Lab, action: Action, _: Path, budget: Budget) -> None:
    lab.type(action.words[0])
    _to_rest(lab, budget)


def _run(lab: Lab, action: Action, _: Path, budget: Budget) -> None:
    if not action.words:
        _to_rest(lab, budget)
    elif action.words[0] == "to":
        _reached(lab.run(to=action.words[1], interrupt=budget), budget, action)
    else:
        kind, fields = event_pattern(action.words)
        while True:
            _reached(lab.run(until=[kind], interrupt=budget), budget, action)
            event = lab.last_event
            if budget.interrupted or (event is not None and _has(lab, event, fields)):
                return
            budget()


def _has(lab: Lab, event: Event, fields: dict[str, str]) -> bool:
    for name, wanted in fields.items():
        if name not in event.fields:
            return False
        value = event.fields[name]
        if as_text(lab, value) != wanted and (as_number(lab, wanted) is None or _differs(lab, value, wanted)):
            return False
    return True


def _differs(lab: Lab, value: object, wanted: str) -> bool:
    return as_number(lab, value) != as_number(lab, wanted)


def _reached(stop: Stop, budget: Budget, action: Action) -> None:
    if stop not in (Stop.MOMENT, Stop.ADDRESS) and not budget.interrupted:
        raise KprobesimError(f"'{action.line}': the machine did not come there, it waits for input.")


def _step(lab: Lab, action: Action, _: Path, budget: Budget) -> None:
    grain, count = grain_and_count(action.words)
    for _turn in range(count):
        if not lab.step(grain, back=action.verb == "back", interrupt=budget) or budget.interrupted:
            return


def _seek(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    where = action.words[0]
    if where == "start":
        lab.seek(lab.beginning)
    elif where == "end":
        lab.seek_end()
    elif int(where) < lab.event_count:
        lab.seek(lab.events(int(where), int(where) + 1)[0])
    else:
        raise BadInput(f"There is no event {where}; {lab.event_count:,} are known.")


_DO: Final[dict[str, Callable[[Lab, Action, Path, Budget], None]]] = {
    "load": _load, "program": _program, "attach": _attach, "detach": _detach, "probe": _probe, "unprobe": _unprobe,
    "listen": _listen, "consume": _consume, "jit": _jit, "type": _type, "$": _command,
    "run": _run, "step": _step, "back": _step, "seek": _seek,
}  # fmt: skip
