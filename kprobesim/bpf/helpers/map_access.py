"""Helpers on maps: look up, update, delete, push, pop, peek, and per CPU.

Follows Linux kernel/bpf/helpers.c.
"""

from kprobesim.bpf.helpers.base import HelperContext

__all__ = [
    "map_delete_elem",
    "map_lookup_elem",
    "map_lookup_percpu_elem",
    "map_peek_elem",
    "map_pop_elem",
    "map_push_elem",
    "map_update_elem",
]


def map_lookup_elem(ctx: HelperContext, addr: int, key: int) -> int:
    """Address of the live value, or 0."""
    found = ctx.maps.get(addr)
    if found is None:
        found = ctx.map_at(addr)
    return found.lookup_elem(ctx.memory.read(key, found.key_size))


def map_update_elem(ctx: HelperContext, addr: int, key: int, value: int, flags: int) -> int:
    """Store a value; 0 or a negative errno."""
    found, memory = ctx.map_at(addr), ctx.memory
    return found.update_elem(memory.read(key, found.key_size), memory.read(value, found.value_size), flags)


def map_delete_elem(ctx: HelperContext, addr: int, key: int) -> int:
    """Remove an element; 0 or a negative errno."""
    found = ctx.map_at(addr)
    return found.delete_elem(ctx.memory.read(key, found.key_size))


def map_lookup_percpu_elem(ctx: HelperContext, addr: int, key: int, cpu: int) -> int:
    """Address of a CPU's copy of the value, or 0."""
    found = ctx.map_at(addr)
    return found.lookup_percpu_elem(ctx.memory.read(key, found.key_size), cpu & 0xFFFFFFFF)


def map_push_elem(ctx: HelperContext, addr: int, value: int, flags: int) -> int:
    """Put a value into a queue, a stack or a bloom filter."""
    found = ctx.map_at(addr)
    return found.push_elem(ctx.memory.read(value, found.value_size), flags)


def _hand_over(ctx: HelperContext, value: int, size: int, answer: bytes | int) -> int:
    """Copy an answer out; zeros with an errno."""
    ctx.memory.write(value, answer if isinstance(answer, bytes) else bytes(size))
    return 0 if isinstance(answer, bytes) else answer


def map_pop_elem(ctx: HelperContext, addr: int, value: int) -> int:
    """Take a value out of a queue or a stack."""
    found = ctx.map_at(addr)
    return _hand_over(ctx, value, found.value_size, found.pop_elem())


def map_peek_elem(ctx: HelperContext, addr: int, value: int) -> int:
    """The value that is next; of a bloom filter, whether it may hold the value, which stays as it is."""
    found = ctx.map_at(addr)
    asked = ctx.memory.read(value, found.value_size)
    answer = found.peek_elem(asked)
    if found.spec.type == "bloom_filter":
        return 0 if isinstance(answer, bytes) else answer
    return _hand_over(ctx, value, found.value_size, answer)
