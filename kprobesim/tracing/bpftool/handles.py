"""How a command names a program or a map: ``id 3``, ``name cnt``, ``tag aa93b500236fde34``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from kprobesim.bpf import BpfMap, Program
from kprobesim.linux_errno import Errno
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpftool.answer import BpftoolError

__all__ = ["Words", "find_maps", "find_programs", "one_map", "one_program", "os_error"]

T = TypeVar("T")

_OBJ_NAME = 15


class Words:
    """The words of a command line, taken from the left."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)

    def __bool__(self) -> bool:
        return bool(self.words)

    @property
    def next(self) -> str:
        """The next word, or nothing."""
        return self.words[0] if self.words else ""

    def take(self) -> str:
        """Take the next word; BpftoolError if there is none."""
        if not self.words:
            raise BpftoolError("expected more arguments")
        return self.words.pop(0)

    def accept(self, word: str) -> bool:
        """Take the next word if it is this one or, as bpftool has it, a beginning of it."""
        if self.words and word.startswith(self.words[0]):
            self.words.pop(0)
            return True
        return False

    def end(self) -> None:
        """BpftoolError unless all words are taken."""
        if self.words:
            raise BpftoolError(f"unexpected argument: '{self.words[0]}'")


def os_error(what: str, errno: int) -> BpftoolError:
    """``what: text of the errno``."""
    return BpftoolError(f"{what}: {Errno.of(errno).text}")


def _number(word: str) -> int:
    try:
        return int(word, 0)
    except ValueError:
        raise BpftoolError(f"can't parse {word} as ID") from None


def find_programs(programs: BpfPrograms, words: Words) -> list[Program]:
    """The programs that the next two words mean."""
    kind, everything = words.take(), list(programs.programs.values())
    if kind == "id":
        number = _number(words.take())
        found = [program for program in everything if programs.ids.programs[program.name].id == number]
        if not found:
            raise os_error(f"get by id ({number})", Errno.ENOENT)
        return found
    if kind == "tag":
        tag = words.take()
        return [program for program in everything if program.tag == tag]
    if kind == "name":
        name = words.take()
        if len(name) > 2 * _OBJ_NAME + 97:
            raise BpftoolError("can't parse name")
        return [program for program in everything if name in (program.name, program.name[:_OBJ_NAME])]
    if kind == "pinned":
        raise os_error(f"bpf obj get ({words.take()})", Errno.ENOENT)
    raise BpftoolError(f"expected 'id', 'tag', 'name' or 'pinned', got: '{kind}'?")


def one_program(programs: BpfPrograms, words: Words) -> Program:
    """The one program that the next two words mean."""
    return _only(find_programs(programs, words), "programs")


def find_maps(programs: BpfPrograms, words: Words) -> list[BpfMap]:
    """The maps that the next two words mean."""
    kind, everything = words.take(), list(programs.maps.values())
    if kind == "id":
        number = _number(words.take())
        found = [one for one in everything if one.id == number]
        if not found:
            raise os_error(f"get map by id ({number})", Errno.ENOENT)
        return found
    if kind == "name":
        name = words.take()
        return [one for one in everything if one.name == name]
    if kind == "pinned":
        raise os_error(f"bpf obj get ({words.take()})", Errno.ENOENT)
    raise BpftoolError(f"expected 'id', 'name' or 'pinned', got: '{kind}'?")


def one_map(programs: BpfPrograms, words: Words) -> BpfMap:
    """The one map that the next two words mean."""
    return _only(find_maps(programs, words), "maps")


def _only(found: Sequence[T], what: str) -> T:
    if len(found) > 1:
        raise BpftoolError(f"several {what} match this handle")
    if not found:
        raise BpftoolError("")
    return found[0]
