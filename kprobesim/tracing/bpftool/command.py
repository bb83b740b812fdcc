"""The command line of bpftool: options, object, command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kprobesim.errors import KprobesimError
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpftool.answer import FAILED, Answer, BpftoolError, Output, json_text
from kprobesim.tracing.bpftool.btf import BTF_COMMANDS
from kprobesim.tracing.bpftool.handles import Words
from kprobesim.tracing.bpftool.links import LINK_COMMANDS, PERF_COMMANDS
from kprobesim.tracing.bpftool.maps import MAP_COMMANDS
from kprobesim.tracing.bpftool.prog import PROG_COMMANDS

__all__ = ["run_bpftool"]

_OBJECTS: Final[dict[str, dict[str, Callable[[BpfPrograms, Words], Output]]]] = {
    "prog": PROG_COMMANDS,
    "map": MAP_COMMANDS,
    "link": LINK_COMMANDS,
    "perf": PERF_COMMANDS,
    "btf": BTF_COMMANDS,
}
_HELP: Final = """\
Usage: bpftool [OPTIONS] OBJECT { COMMAND | help }

       OBJECT := { prog | map | link | perf | btf }
       OPTIONS := { {-j|--json} [{-p|--pretty}] }

       bpftool prog { show | list } [PROG]
       bpftool prog dump xlated PROG [{ opcodes | linum | visual }]
       bpftool prog dump jited  PROG [{ opcodes | linum }]
       bpftool map  { show | list } [MAP]
       bpftool map  dump MAP
       bpftool map  lookup  MAP key [hex] BYTES
       bpftool map  update  MAP key [hex] BYTES value [hex] BYTES [{ any | exist | noexist }]
       bpftool map  delete  MAP key [hex] BYTES
       bpftool map  getnext MAP [key [hex] BYTES]
       bpftool link { show | list } [id LINK_ID]
       bpftool perf { show | list }
       bpftool btf  { show | list }
       bpftool btf  dump { id BTF_ID | prog PROG | map MAP | file /sys/kernel/btf/vmlinux } [format { raw | c }]

       PROG := { id PROG_ID | tag PROG_TAG | name PROG_NAME }
       MAP  := { id MAP_ID | name MAP_NAME }
"""


def run_bpftool(arguments: Sequence[str], programs: BpfPrograms) -> Answer:
    """Run one command.

    Args:
        arguments: the words after ``bpftool``.
        programs: what there is to show.

    Returns:
        Exit status and output; nothing is raised for what a person may have typed.
    """
    words = Words(arguments)
    json = pretty = False
    while words.next.startswith("-"):
        option = words.take()
        if option in ("-j", "--json"):
            json = True
        elif option in ("-p", "--pretty", "-jp", "-pj"):
            json = pretty = True
        elif option in ("-h", "--help"):
            return Answer(0, "", _HELP)
        else:
            return Answer(FAILED, "", f"bpftool: unrecognized option '{option}'\n{_HELP}")
    try:
        return _answer(_run(words, programs), json, pretty)
    except BpftoolError as error:
        message = str(error)
    except KprobesimError as error:
        message = error.message
    if json:
        return Answer(FAILED, json_text({"error": message} if message else None, pretty=pretty) if message else "", "")
    return Answer(FAILED, "", f"Error: {message}\n" if message else "")


def _answer(output: Output, json: bool, pretty: bool) -> Answer:
    if not json:
        return Answer(output.status, output.text, "")
    return Answer(output.status, "" if output.data is None else json_text(output.data, pretty=pretty), "")


def _run(words: Words, programs: BpfPrograms) -> Output:
    if not words or words.next == "help":
        return Output(_HELP)
    name = words.take()
    known = next((known for known in _OBJECTS if known.startswith(name)), None)
    if known is None:
        raise BpftoolError(f"unknown object '{name}'; try 'bpftool help'")
    commands = _OBJECTS[known]
    command = words.take() if words else "show"
    if command == "help":
        return Output(_HELP)
    found = next((full for full in commands if full.startswith(command)), None)
    if found is None:
        raise BpftoolError(f"unknown command '{command}'; try 'bpftool {known} help'")
    return commands[found](programs, words)
