"""Helper functions: what a BPF program may call.

``HELPERS`` holds those that exist here; the names and ids of all that Linux 6.1 has are in ``helper_names``. A helper
gets a HelperContext and its arguments as unsigned 64-bit numbers and returns an int, possibly negative.
"""

from kprobesim.bpf.helpers.base import Around, Helper, HelperContext
from kprobesim.bpf.helpers.registry import CALLS_BACK, HELPERS, helpers_for
from kprobesim.bpf.helpers.skb_calls import SKB_CALLS, SkbCall

__all__ = ["CALLS", "CALLS_BACK", "HELPERS", "SKB_CALLS", "Around", "Helper", "HelperContext", "SkbCall", "helpers_for"]

CALLS: dict[int, Helper] = HELPERS | SKB_CALLS
"""All that a call instruction can reach: helpers, and what only the kernel's own rewriting of filters calls."""
