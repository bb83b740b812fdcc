"""Helpers that call a function of the program: loop, for_each_map_elem, find_vma.

Each is a generator: it yields the function's address and its arguments, and is sent what the function returned. So the
interpreter can call the function itself, and for machine code the guest does it.

Follows Linux kernel/bpf/bpf_iter.c:bpf_loop, kernel/bpf/map_iter.c and task_iter.c.
"""

from collections.abc import Generator

from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.linux_errno import Errno

__all__ = ["MAX_LOOPS", "find_vma", "for_each_map_elem", "loop"]

Callbacks = Generator[tuple[int, ...], int, int]

MAX_LOOPS = 8 << 20
"""BPF_MAX_LOOPS."""


def loop(ctx: HelperContext, count: int, function: int, argument: int, flags: int) -> Callbacks:
    """Call ``function(index, argument)`` until it gives something else than 0; how often it was called."""
    count &= 0xFFFFFFFF
    if flags:
        return -Errno.EINVAL
    if count > MAX_LOOPS:
        return -Errno.E2BIG
    for index in range(count):
        if (yield (function, index, argument)):
            return index + 1
    return count


def for_each_map_elem(ctx: HelperContext, addr: int, function: int, argument: int, flags: int) -> Callbacks:
    """Call ``function(map, key, value, argument)`` for each element until it gives not 0; how often it was called."""
    found = ctx.map_at(addr)
    if flags:
        return -Errno.EINVAL
    called = 0
    for key, value in found.elements():
        called += 1
        if (yield (function, addr, key, value, argument)):
            break
    return called


def find_vma(ctx: HelperContext, task: int, addr: int, function: int, argument: int, flags: int) -> Callbacks:
    """Call ``function(task, vma, argument)`` for the area that contains an address; ENOENT if there is none."""
    if flags:
        return -Errno.EINVAL
    vma = ctx.env.find_vma(task, addr) if task else 0
    if not vma:
        return -Errno.ENOENT
    yield (function, task, vma, argument)
    return 0
