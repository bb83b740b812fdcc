"""Writes docs/events.md from the event kinds that the code declares: ``python docs/generate_events.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kprobesim.kprobes import KPROBE_KINDS
from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.machine import MACHINE_KINDS, EventKind
from kprobesim.tracing import BPF_KINDS, FILTER_KINDS, TRACING_KINDS, TRAMPOLINE_KINDS

PAGE: Final = Path(__file__).with_name("events.md")
_ROOMS: Final = (
    ("The machine", MACHINE_KINDS),
    ("Kprobes and return probes", KPROBE_KINDS),
    ("BPF", BPF_KINDS),
    ("BPF trampolines", TRAMPOLINE_KINDS),
    ("Filters of system calls and packets", FILTER_KINDS),
    ("Probe events", TRACING_KINDS),
)
_HEAD: Final = """\
# Events

Made by `docs/generate_events.py` from the declarations in the code; do not edit.

Everything that happens in a lab is an event in one stream. `--json` prints one JSON object a line:

```json
{"seq":31,"ns":49733420,"cpu":0,"kind":"text.poke","addr":"0xffffffff8100b780","symbol":"vfs_read+0x0","old":"0f",\
"new":"cc"}
```

Every object has four members, then those of its kind:

| member | JSON | meaning |
|---|---|---|
| `seq` | number | position in the stream, from 0, without gaps |
| `ns` | number | virtual nanoseconds since power-on |
| `cpu` | number | the CPU, from 0 |
| `kind` | string | one of the kinds below |

How the types of fields are written:

| type | JSON |
|---|---|
| address | a string, `"0x"` and hexadecimal digits: JavaScript's numbers cannot hold 64 bits |
| number | a number; 64-bit values may exceed 2^53 |
| text | a string |
| bytes | a string of hexadecimal digits, two for each byte, in the order of memory; may be empty |
| list | an array of numbers |

A kind and a field never change their meaning, and none is taken away. New kinds and new fields may come: a reader must
pass over what it does not know. The same kernel, seed and inputs give the same stream, byte for byte, everywhere.

`error_code` and `cr2` of `trap` are there only for the vectors that have them. `--json` adds `handler_symbol` to
`gate`: the handler as symbol and offset.
"""


def page() -> str:
    """The whole text of the page."""
    listed = [kind.name for _, kinds in _ROOMS for kind in kinds]
    assert sorted(listed) == sorted(EVENT_KINDS), "a room's kinds are missing in _ROOMS"
    parts = [_HEAD]
    for title, kinds in _ROOMS:
        parts.append(f"## {title}\n")
        parts += [_section(kind) for kind in kinds]
    return "\n".join(parts)


def _section(kind: EventKind) -> str:
    lines = [f"### `{kind.name}`", "", kind.meaning, ""]
    if kind.fields:
        lines += ["| field | type | meaning |", "|---|---|---|"]
        lines += [
            f"| `{field.name}` | {field.type} | {field.meaning.replace('|', chr(92) + '|')} |" for field in kind.fields
        ]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
