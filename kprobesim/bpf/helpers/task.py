"""Helpers that tell of the machine, the CPU and the current task, or do something to that task.

Follows Linux kernel/bpf/helpers.c and kernel/trace/bpf_trace.c.
"""

import struct

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.linux_errno import Errno

__all__ = [
    "copy_from_user",
    "copy_from_user_task",
    "get_attach_cookie",
    "get_current_ancestor_cgroup_id",
    "get_current_cgroup_id",
    "get_current_comm",
    "get_current_pid_tgid",
    "get_current_task",
    "get_current_uid_gid",
    "get_func_arg",
    "get_func_arg_cnt",
    "get_func_ip",
    "get_func_ret",
    "get_ns_current_pid_tgid",
    "get_numa_node_id",
    "get_prandom_u32",
    "get_smp_processor_id",
    "override_return",
    "per_cpu_ptr",
    "probe_write_user",
    "send_signal",
    "task_pt_regs",
    "this_cpu_ptr",
]

_MASK32 = 0xFFFFFFFF
_PIDNS_DEV, _PIDNS_INO = 4, 0xEFFFFFFC  # nsfs, and PROC_PID_INIT_INO: the one pid namespace there is
_ROOT_CGROUP = 1


def get_prandom_u32(ctx: HelperContext) -> int:
    """32 random bits."""
    return ctx.env.prandom_u32()


def get_smp_processor_id(ctx: HelperContext) -> int:
    """Number of the CPU."""
    return ctx.env.smp_processor_id()


def get_numa_node_id(ctx: HelperContext) -> int:
    """There is one node: 0."""
    return 0


def get_current_pid_tgid(ctx: HelperContext) -> int:
    """``tgid << 32 | pid``."""
    return ctx.env.current_pid_tgid()


def get_current_uid_gid(ctx: HelperContext) -> int:
    """``gid << 32 | uid``."""
    return ctx.env.current_uid_gid()


def get_current_comm(ctx: HelperContext, buf: int, size: int) -> int:
    """Copy the task's name; EINVAL for a buffer without room."""
    size &= _MASK32
    ctx.check_buffer(buf, size)
    if size == 0:
        return -Errno.EINVAL
    ctx.memory.write(buf, ctx.env.current_comm()[: size - 1].ljust(size, b"\0"))
    return 0


def get_current_task(ctx: HelperContext) -> int:
    """Address of the ``struct task_struct``."""
    return ctx.env.current_task()


def task_pt_regs(ctx: HelperContext, task: int) -> int:
    """Address of the registers that a task entered the kernel with."""
    return ctx.env.task_pt_regs(task)


def get_current_cgroup_id(ctx: HelperContext) -> int:
    """All tasks are in the root cgroup."""
    return _ROOT_CGROUP


def get_current_ancestor_cgroup_id(ctx: HelperContext, level: int) -> int:
    """The root has no ancestor but itself: 0 for any other level."""
    return 0 if level & _MASK32 else _ROOT_CGROUP


def get_ns_current_pid_tgid(ctx: HelperContext, dev: int, ino: int, buf: int, size: int) -> int:
    """``struct bpf_pidns_info`` of the task in a pid namespace; zeros and EINVAL for one that it is not in."""
    size &= _MASK32
    ctx.check_buffer(buf, size)
    if size != 8 or (dev, ino) != (_PIDNS_DEV, _PIDNS_INO):
        ctx.memory.write(buf, bytes(size))
        return -Errno.EINVAL
    both = ctx.env.current_pid_tgid()
    ctx.memory.write(buf, struct.pack("<2I", both & _MASK32, both >> 32))
    return 0


def get_func_ip(ctx: HelperContext, program_ctx: int) -> int:
    """Address of the probed function; 0 inside of one."""
    return ctx.env.func_ip()


def get_attach_cookie(ctx: HelperContext, program_ctx: int) -> int:
    """The number given when the program was attached."""
    return ctx.env.attach_cookie()


def _word(ctx: HelperContext, addr: int) -> int:
    return int.from_bytes(ctx.memory.read(addr, 8), "little")


def get_func_arg_cnt(ctx: HelperContext, args: int) -> int:
    """How many arguments the traced function has: the word before them."""
    return _word(ctx, args - 8)


def get_func_arg(ctx: HelperContext, args: int, number: int, value: int) -> int:
    """An argument of the traced function; EINVAL if it has not so many."""
    number &= _MASK32
    if number >= get_func_arg_cnt(ctx, args):
        return -Errno.EINVAL
    ctx.memory.write(value, ctx.memory.read(args + 8 * number, 8))
    return 0


def get_func_ret(ctx: HelperContext, args: int, value: int) -> int:
    """The traced function's result: the word behind its arguments."""
    ctx.memory.write(value, ctx.memory.read(args + 8 * get_func_arg_cnt(ctx, args), 8))
    return 0


def per_cpu_ptr(ctx: HelperContext, addr: int, cpu: int) -> int:
    """A CPU's own copy of a variable; 0 for a CPU that there is not."""
    cpu &= _MASK32
    if cpu >= ctx.env.num_possible_cpus():
        return 0
    return addr + ctx.env.percpu_offset(cpu)


def this_cpu_ptr(ctx: HelperContext, addr: int) -> int:
    """This CPU's own copy of a variable."""
    return addr + ctx.env.percpu_offset(ctx.env.smp_processor_id())


def send_signal(ctx: HelperContext, sig: int) -> int:
    """Send the current task a signal; EPERM for kernel threads and init, EINVAL."""
    return ctx.env.send_signal(sig & _MASK32)


def override_return(ctx: HelperContext, regs: int, value: int) -> int:
    """Let the probed function return at once."""
    ctx.env.override_return(regs, value)
    return 0


def probe_write_user(ctx: HelperContext, dst: int, src: int, size: int) -> int:
    """Write the task's user memory; EPERM if that is not memory of a user, EFAULT if it is not there."""
    size &= _MASK32
    data = ctx.read_buffer(src, size)
    if dst + size > 1 << 47:
        return -Errno.EPERM
    try:
        ctx.env.write_user(dst, data)
    except MemoryFault:
        return -Errno.EFAULT
    return 0


def copy_from_user(ctx: HelperContext, dst: int, size: int, src: int) -> int:
    """Copy user memory in a program that may sleep; zeros and EFAULT if it is not there."""
    size &= _MASK32
    ctx.check_buffer(dst, size)
    try:
        data = ctx.env.read_user(src, size) if size else b""
    except MemoryFault:
        ctx.memory.write(dst, bytes(size))
        return -Errno.EFAULT
    ctx.memory.write(dst, data)
    return 0


def copy_from_user_task(ctx: HelperContext, dst: int, size: int, src: int, task: int, flags: int) -> int:
    """The same of another task; EINVAL for flags."""
    size &= _MASK32
    ctx.check_buffer(dst, size)
    if flags:
        return -Errno.EINVAL
    if not size:
        return 0
    try:
        data = ctx.env.read_task(task, src, size)
    except MemoryFault:
        ctx.memory.write(dst, bytes(size))
        return -Errno.EFAULT
    ctx.memory.write(dst, data)
    return 0
