"""``bpftool prog``: show, dump xlated, dump jited."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from kprobesim.bpf import Insn, Program
from kprobesim.bpf.isa import is_lddw
from kprobesim.bpf.jit.listing import Group, listing
from kprobesim.bpf.object import LineInfo
from kprobesim.image import Btf, DecodeError
from kprobesim.image.btf_format import declare
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpf_ids import ProgramInfo
from kprobesim.tracing.bpftool.answer import BpftoolError, Output
from kprobesim.tracing.bpftool.handles import Words, find_programs, one_program
from kprobesim.tracing.bpftool.translated import Translated, translate
from kprobesim.tracing.bpftool.values import hex_list
from kprobesim.tracing.bpftool.visual import dot_graph

__all__ = ["PROG_COMMANDS"]

_PAGE: Final = 4096
_SECOND: Final = 1_000_000_000
_OBJ_NAME: Final = 15
_MAX_PARAMETERS: Final = 32


def _show_one(programs: BpfPrograms, program: Program) -> Output:
    info = programs.ids.programs[program.name]
    code = programs.jited(program.name)
    xlated = translate(program, info.types, jited=code is not None).size
    memlock = (xlated + _PAGE - 1) // _PAGE * _PAGE
    map_ids = [found.id for found in program.used_maps]
    seconds = info.loaded_ns // _SECOND
    data: dict[str, Any] = {
        "id": info.id,
        "type": program.type,
        "name": program.name[:_OBJ_NAME],
        "tag": program.tag,
        "gpl_compatible": program.gpl_compatible,
        "loaded_at": seconds,
        "uid": 0,
        "bytes_xlated": xlated,
        "jited": code is not None,
    }
    if code is not None:
        data["bytes_jited"] = code.code.jited_len
    data["bytes_memlock"] = memlock
    if map_ids:
        data["map_ids"] = map_ids
    loaded = time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(seconds))
    lines = [
        f"{info.id}: {program.type}  name {data['name']}  tag {program.tag}{'  gpl' if program.gpl_compatible else ''}",
        f"\tloaded_at {loaded}  uid 0",
        f"\txlated {xlated}B  {f'jited {code.code.jited_len}B' if code else 'not jited'}  memlock {memlock}B"
        + (f"  map_ids {','.join(map(str, map_ids))}" if map_ids else ""),
    ]
    if info.types is not None:
        data["btf_id"] = info.types.btf_id
        lines.append(f"\tbtf_id {info.types.btf_id}")
    return Output("".join(f"{line}\n" for line in lines), data)


def show(programs: BpfPrograms, words: Words) -> Output:
    """``prog show [PROG]``."""
    if words:
        shown = [_show_one(programs, program) for program in find_programs(programs, words)]
        words.end()
        if not shown:
            raise BpftoolError("")
        data = shown[0].data if len(shown) == 1 else [one.data for one in shown]
        return Output("".join(one.text for one in shown), data)
    shown = [_show_one(programs, program) for program in programs.programs.values()]
    return Output("".join(one.text for one in shown), [one.data for one in shown])


def dump(programs: BpfPrograms, words: Words) -> Output:
    """``prog dump {xlated|jited} PROG [opcodes|visual|linum]``."""
    what = words.take()
    if what not in ("xlated", "jited"):
        raise BpftoolError(f"expected 'xlated' or 'jited', got: {what}")
    program = one_program(programs, words)
    options = set()
    while words:
        option = words.take()
        if option not in ("opcodes", "visual", "linum"):
            raise BpftoolError(f"expected 'opcodes', 'visual' or 'linum', got: '{option}'?")
        options.add(option)
    info = programs.ids.programs[program.name]
    btf = programs.ids.btfs[info.types.btf_id].btf if info.types else None
    if what == "jited":
        return _dump_jited(programs, program, info, btf, options)
    translated = translate(program, info.types, jited=programs.jited(program.name) is not None)
    if "visual" in options:
        return Output(dot_graph(translated))
    return _dump_xlated(translated, btf, options)


def _signature(btf: Btf | None, type_id: int) -> str:
    """A function's declaration as bpftool writes it: ``int count_read(struct pt_regs * ctx)``."""
    if btf is None or not type_id:
        return ""
    func = btf.type(type_id)
    proto = btf.type(func.target)
    if len(proto.parameters) > _MAX_PARAMETERS:
        return ""
    parameters = ", ".join(
        f"{_type_text(btf, one.type_id)} {one.name}".rstrip() if one.type_id else "..." for one in proto.parameters
    )
    return f"{_type_text(btf, proto.target)} {func.name}({parameters or 'void'})"


def _type_text(btf: Btf, type_id: int) -> str:
    return declare(btf, type_id, "").replace("*", "* ").rstrip()


def _line_text(line: LineInfo, linum: bool) -> str:
    text = f"; {line.text.lstrip()}"
    return f"{text} [file:{line.file} line_num:{line.line} line_col:{line.column}]" if linum else text


def _line_data(line: LineInfo, linum: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"src": line.text.lstrip()}
    if linum:
        data |= {"file": line.file, "line_num": line.line, "line_col": line.column}
    return data


def _opcodes(insns: tuple[Insn, ...]) -> str:
    return " ".join(insn.encode().hex(" ") for insn in insns)


def _dump_xlated(translated: Translated, btf: Btf | None, options: set[str]) -> Output:
    lines: list[str] = []
    data: list[dict[str, Any]] = []
    slot, linum = 0, "linum" in options
    while slot < len(translated.insns):
        entry: dict[str, Any] = {}
        function = translated.functions.get(slot)
        signature = _signature(btf, function.type_id) if function else ""
        if signature:
            lines.append(f"{signature}:")
            entry["proto"] = signature
        line = translated.lines.get(slot)
        if line is not None:
            lines.append(_line_text(line, linum))
            entry |= _line_data(line, linum)
        count = 2 if is_lddw(translated.insns[slot]) else 1
        text = translated.text(slot)
        lines.append(f"{slot:4d}: {text}")
        entry["disasm"] = text
        insns = translated.insns[slot : slot + count]
        if "opcodes" in options:
            lines.append(f"       {_opcodes(insns)}")
            entry["opcodes"] = _opcode_fields(insns)
        data.append(entry)
        slot += count
    return Output("".join(f"{line}\n" for line in lines), data)


def _opcode_fields(insns: tuple[Insn, ...]) -> dict[str, Any]:
    first = insns[0].encode()
    immediate = b"".join(insn.encode()[4:] for insn in insns)
    return {
        "code": f"0x{first[0]:02x}",
        "src_reg": f"0x{insns[0].src:x}",
        "dst_reg": f"0x{insns[0].dst:x}",
        "off": hex_list(first[2:4]),
        "imm": hex_list(immediate),
    }


def _dump_jited(
    programs: BpfPrograms, program: Program, info: ProgramInfo, btf: Btf | None, options: set[str]
) -> Output:
    compiled = programs.jited(program.name)
    if compiled is None:
        raise BpftoolError("no instructions returned")
    code = compiled.code
    translated = translate(program, info.types, jited=True)
    text: list[str] = []
    data: list[dict[str, Any]] = []
    for group in listing(code, symbolize=programs.symbolize):
        if group.slot is None:
            start = code.images[group.function].start
            function = translated.functions.get(start)
            name = f"bpf_prog_{translated.tags.get(start, program.tag)}_{function.name if function else program.name}"
            signature = _signature(btf, function.type_id) if function else ""
            text += ["", *([f"{signature}:"] if signature else []), f"{name}:"] if text else (
                [*([f"{signature}:"] if signature else []), f"{name}:"]
            )  # fmt: skip
            data.append({"proto": signature, "name": name, "insns": []})
        elif line := translated.lines.get(group.slot):
            text.append(_line_text(line, "linum" in options))
        _machine_lines(group, "opcodes" in options, text, data[-1]["insns"])
    return Output("".join(f"{line}\n" for line in text), data)


def _machine_lines(group: Group, opcodes: bool, text: list[str], insns: list[dict[str, Any]]) -> None:
    at = group.offset
    for insn in group.x86:
        words = insn.message if isinstance(insn, DecodeError) else insn.text
        text.append(f"{at:4x}:\t{words}")
        entry: dict[str, Any] = {"pc": f"{at:#x}", "operation": words.split(" ")[0],
                                 "operands": [part for part in words.split(" ", 1)[1:] if part.strip()]}  # fmt: skip
        if opcodes:
            text.append(f"\t{insn.raw.hex(' ')}")
            entry["opcodes"] = hex_list(insn.raw)
        insns.append(entry)
        at += len(insn.raw)


PROG_COMMANDS: Final[dict[str, Callable[[BpfPrograms, Words], Output]]] = {"show": show, "list": show, "dump": dump}
