"""The events of the scheduler and of tasks: Linux 6.1 include/trace/events/sched.h and task.h."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.machine import VCpu
from kprobesim.tracing.kernel_events.event import EventSpec, text_of
from kprobesim.tracing.kernel_events.guest import Guest
from kprobesim.tracing.kernel_events.layout import Layout, Value

__all__ = ["SCHED_EVENTS", "TASK_EVENTS"]

# TASK_REPORT: the states that are shown, one letter for each bit; one bit more says that the task was preempted.
_STATES: Final = "SDTtXZPI"
_TASK_REPORT: Final = 0x7F
_TASK_REPORT_MAX: Final = (_TASK_REPORT + 1) << 1
_REPORT_TEXT: Final = f"((({' | '.join(f'0x{state:08x}' for state in (0, 1, 2, 4, 8, 16, 32, 64))}) + 1) << 1)"
_STATE_FLAGS: Final = ", ".join(f'{{ 0x{1 << bit:08x}, "{letter}" }}' for bit, letter in enumerate(_STATES))


# sched_wakeup_template


def _wakeup(name: str) -> EventSpec:
    def assign(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
        (task,) = args
        return guest.comm(task), guest.pid(task), guest.prio(task), guest.task_cpu(task)

    def text(guest: Guest, values: list[Any]) -> str:
        comm, pid, prio, target = values
        return f"comm={text_of(comm)} pid={pid} prio={prio} target_cpu={target:03}"

    return EventSpec(
        "sched",
        name,
        Layout(("char comm[16]", "pid_t pid", "int prio", "int target_cpu")),
        assign,
        '"comm=%s pid=%d prio=%d target_cpu=%03d", REC->comm, REC->pid, REC->prio, REC->target_cpu',
        text,
    )


# sched_switch


def _switch_state(guest: Guest, preempt: int, prev_state: int, prev: int) -> int:
    """``__trace_sched_switch_state``: of several states the highest one."""
    if preempt:
        return _TASK_REPORT_MAX
    state = (prev_state | guest.member("task_struct", prev, "exit_state")) & _TASK_REPORT
    return 1 << state.bit_length() - 1 if state else 0


def _assign_switch(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    preempt, prev, following, prev_state = args
    return (
        guest.comm(prev), guest.pid(prev), guest.prio(prev), _switch_state(guest, preempt, prev_state, prev),
        guest.comm(following), guest.pid(following), guest.prio(following),
    )  # fmt: skip


def _print_switch(guest: Guest, values: list[Any]) -> str:
    prev_comm, prev_pid, prev_prio, state, next_comm, next_pid, next_prio = values
    shown = state & (_TASK_REPORT_MAX - 1)
    letters = "|".join(letter for bit, letter in enumerate(_STATES) if shown >> bit & 1) or "R"
    plus = "+" if state & _TASK_REPORT_MAX else ""
    return (
        f"prev_comm={text_of(prev_comm)} prev_pid={prev_pid} prev_prio={prev_prio} prev_state={letters}{plus} ==> "
        f"next_comm={text_of(next_comm)} next_pid={next_pid} next_prio={next_prio}"
    )


_SWITCH: Final = EventSpec(
    "sched",
    "sched_switch",
    Layout(
        (
            "char prev_comm[16]", "pid_t prev_pid", "int prev_prio", "long prev_state", "char next_comm[16]",
            "pid_t next_pid", "int next_prio",
        )
    ),
    _assign_switch,
    '"prev_comm=%s prev_pid=%d prev_prio=%d prev_state=%s%s ==> next_comm=%s next_pid=%d next_prio=%d", '
    "REC->prev_comm, REC->prev_pid, REC->prev_prio, "
    f'(REC->prev_state & ({_REPORT_TEXT} - 1)) ? __print_flags(REC->prev_state & ({_REPORT_TEXT} - 1), "|", '
    f'{_STATE_FLAGS}) : "R", REC->prev_state & {_REPORT_TEXT} ? "+" : "", '
    "REC->next_comm, REC->next_pid, REC->next_prio",
    _print_switch,
)  # fmt: skip


# sched_migrate_task


def _assign_migrate(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    task, target = args
    return guest.comm(task), guest.pid(task), guest.prio(task), guest.task_cpu(task), target


def _print_migrate(guest: Guest, values: list[Any]) -> str:
    comm, pid, prio, orig_cpu, dest_cpu = values
    return f"comm={text_of(comm)} pid={pid} prio={prio} orig_cpu={orig_cpu} dest_cpu={dest_cpu}"


_MIGRATE: Final = EventSpec(
    "sched",
    "sched_migrate_task",
    Layout(("char comm[16]", "pid_t pid", "int prio", "int orig_cpu", "int dest_cpu")),
    _assign_migrate,
    '"comm=%s pid=%d prio=%d orig_cpu=%d dest_cpu=%d", REC->comm, REC->pid, REC->prio, REC->orig_cpu, REC->dest_cpu',
    _print_migrate,
)


# sched_process_template, and sched_process_wait, which has the same fields


def _process(name: str) -> EventSpec:
    def assign(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
        (task,) = args
        return guest.comm(task), guest.pid(task), guest.prio(task)

    def assign_wait(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
        # pid_nr() of "any child" is 0: there is no struct pid to take the number of.
        current, (pid,) = guest.current(cpu), args
        return guest.comm(current), pid if pid < 1 << 31 else 0, guest.prio(current)

    def text(guest: Guest, values: list[Any]) -> str:
        comm, pid, prio = values
        return f"comm={text_of(comm)} pid={pid} prio={prio}"

    return EventSpec(
        "sched",
        name,
        Layout(("char comm[16]", "pid_t pid", "int prio")),
        assign_wait if name == "sched_process_wait" else assign,
        '"comm=%s pid=%d prio=%d", REC->comm, REC->pid, REC->prio',
        text,
    )


# sched_process_fork


def _assign_fork(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    parent, child = args
    return guest.comm(parent), guest.pid(parent), guest.comm(child), guest.pid(child)


def _print_fork(guest: Guest, values: list[Any]) -> str:
    comm, pid, child_comm, child_pid = values
    return f"comm={text_of(comm)} pid={pid} child_comm={text_of(child_comm)} child_pid={child_pid}"


_FORK: Final = EventSpec(
    "sched",
    "sched_process_fork",
    Layout(("char parent_comm[16]", "pid_t parent_pid", "char child_comm[16]", "pid_t child_pid")),
    _assign_fork,
    '"comm=%s pid=%d child_comm=%s child_pid=%d", REC->parent_comm, REC->parent_pid, REC->child_comm, REC->child_pid',
    _print_fork,
)


# sched_process_exec


def _assign_exec(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    task, old_pid, bprm = args
    return guest.text(guest.member("linux_binprm", bprm, "filename")), guest.pid(task), old_pid


def _print_exec(guest: Guest, values: list[Any]) -> str:
    filename, pid, old_pid = values
    return f"filename={text_of(filename)} pid={pid} old_pid={old_pid}"


_EXEC: Final = EventSpec(
    "sched",
    "sched_process_exec",
    Layout(("__string filename", "pid_t pid", "pid_t old_pid")),
    _assign_exec,
    '"filename=%s pid=%d old_pid=%d", __get_str(filename), REC->pid, REC->old_pid',
    _print_exec,
)


# sched_stat_runtime


def _assign_runtime(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    task, runtime, vruntime = args
    return guest.comm(task), guest.pid(task), runtime, vruntime


def _print_runtime(guest: Guest, values: list[Any]) -> str:
    comm, pid, runtime, vruntime = values
    return f"comm={text_of(comm)} pid={pid} runtime={runtime} [ns] vruntime={vruntime} [ns]"


_RUNTIME: Final = EventSpec(
    "sched",
    "sched_stat_runtime",
    Layout(("char comm[16]", "pid_t pid", "u64 runtime", "u64 vruntime")),
    _assign_runtime,
    '"comm=%s pid=%d runtime=%Lu [ns] vruntime=%Lu [ns]", REC->comm, REC->pid, (unsigned long long)REC->runtime, '
    "(unsigned long long)REC->vruntime",
    _print_runtime,
)

SCHED_EVENTS: Final = (
    _wakeup("sched_waking"),
    _wakeup("sched_wakeup"),
    _wakeup("sched_wakeup_new"),
    _SWITCH,
    _MIGRATE,
    _process("sched_process_free"),
    _process("sched_process_exit"),
    _process("sched_process_wait"),
    _FORK,
    _EXEC,
    _RUNTIME,
)


# task_newtask, task_rename: nobody is ever killed for memory here, so that oom_score_adj is 0


def _assign_newtask(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    task, clone_flags = args
    return guest.pid(task), guest.comm(task), clone_flags, 0


def _print_newtask(guest: Guest, values: list[Any]) -> str:
    pid, comm, clone_flags, oom_score_adj = values
    return f"pid={pid} comm={text_of(comm)} clone_flags={clone_flags:x} oom_score_adj={oom_score_adj}"


def _assign_rename(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    task, comm = args
    return guest.pid(task), guest.comm(task), guest.text(comm)[:15], 0


def _print_rename(guest: Guest, values: list[Any]) -> str:
    pid, old, new, oom_score_adj = values
    return f"pid={pid} oldcomm={text_of(old)} newcomm={text_of(new)} oom_score_adj={oom_score_adj}"


TASK_EVENTS: Final = (
    EventSpec(
        "task",
        "task_newtask",
        Layout(("pid_t pid", "char comm[16]", "unsigned long clone_flags", "short oom_score_adj")),
        _assign_newtask,
        '"pid=%d comm=%s clone_flags=%lx oom_score_adj=%hd", REC->pid, REC->comm, REC->clone_flags, REC->oom_score_adj',
        _print_newtask,
    ),
    EventSpec(
        "task",
        "task_rename",
        Layout(("pid_t pid", "char oldcomm[16]", "char newcomm[16]", "short oom_score_adj")),
        _assign_rename,
        '"pid=%d oldcomm=%s newcomm=%s oom_score_adj=%hd", REC->pid, REC->oldcomm, REC->newcomm, REC->oom_score_adj',
        _print_rename,
    ),
)
