"""A function's declared parameters and the registers they come in, from DWARF's ``.debug_info``.

DWARF 5, sections 3.3 and 4.1; registers are numbered as in the x86-64 psABI, figure 3.36.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobesim.image.elf import KernelImage
from kprobesim.image.lines import damaged, open_dwarf

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarfinfo import DWARFInfo

__all__ = ["DebugFunctions", "DebugParameter"]

ARGUMENT_REGISTERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
DWARF_REGISTERS = (
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip
DW_OP_REG0, DW_OP_REGX = 0x50, 0x90
MAX_TYPE_DEPTH = 16
TAG_WORDS = {
    "DW_TAG_structure_type": "struct ",
    "DW_TAG_union_type": "union ",
    "DW_TAG_enumeration_type": "enum ",
}
QUALIFIER_WORDS = {"DW_TAG_const_type": "const", "DW_TAG_volatile_type": "volatile"}


@dataclass(frozen=True, slots=True)
class DebugParameter:
    """A parameter: its name, its type as C writes it, and the register that holds it at the function's entry.

    ``register`` is the 64-bit name without ``%``, or nothing when it is not simply in one.
    """

    name: str
    type_name: str
    register: str | None


class DebugFunctions:
    """Parameters of functions by entry address, read one compilation unit at a time and kept.

    Every method raises ImageError when the debug information is damaged.
    """

    def __init__(self, image: KernelImage) -> None:
        self._image = image
        self._dwarf: DWARFInfo | None = None
        self._table: Any = None
        self._opened = False
        self._units: list[tuple[Any, list[tuple[int, int]]]] | None = None
        self._read: dict[int, dict[int, tuple[DebugParameter, ...]]] = {}

    def parameters(self, address: int) -> tuple[DebugParameter, ...] | None:
        """The parameters of the function that begins at an address.

        Returns:
            them in order; nothing when no function with debug information begins there.
        """
        try:
            return self._parameters(address)
        except Exception as error:
            raise damaged(self._image, error) from None

    def _parameters(self, address: int) -> tuple[DebugParameter, ...] | None:
        for unit in self._units_at(address):
            if unit.cu_offset not in self._read:
                self._read[unit.cu_offset] = self._functions(unit)
            if address in self._read[unit.cu_offset]:
                return self._read[unit.cu_offset][address]
        return None

    def _units_at(self, address: int) -> "Iterator[Any]":
        """The units that an address may belong to."""
        if not self._opened:
            self._dwarf, self._opened = open_dwarf(self._image), True
            self._table = self._dwarf.get_aranges() if self._dwarf else None
        if self._dwarf is None:
            return
        # The table of addresses says it at once, for most units; to ask each of them takes a hundred times as long.
        entries = self._table.entries if self._table else ()
        offset = self._table.cu_offset_at_addr(address) if entries else None
        if offset is not None:
            yield self._dwarf.get_CU_at(offset)
            return
        if self._units is None:
            listed = {entry.info_offset for entry in entries}
            others = (unit for unit in self._dwarf.iter_CUs() if unit.cu_offset not in listed)
            self._units = [(unit, _ranges(self._dwarf, unit)) for unit in others]
        yield from (unit for unit, ranges in self._units if any(start <= address < end for start, end in ranges))

    def _functions(self, unit: Any) -> dict[int, tuple[DebugParameter, ...]]:
        found = {}
        for function, parameters in _subprograms(unit):
            low = function.attributes["DW_AT_low_pc"].value
            found[low] = self._of_function(parameters, low)
        return found

    def _of_function(self, parameters: "list[DIE]", low: int) -> tuple[DebugParameter, ...]:
        found: list[DebugParameter] = []
        by_position: int | None = 0
        for die in parameters:
            # An out-of-line copy of an inline function leaves name and type to the abstract one.
            declared = die
            if "DW_AT_abstract_origin" in die.attributes:
                declared = die.get_DIE_from_attribute("DW_AT_abstract_origin")
            kind = _type(declared)
            register = self._register_at(die, low)
            # The calling convention is the second witness: integers and pointers go through six registers in order.
            if not _is_scalar(kind, MAX_TYPE_DEPTH):
                by_position = None
            if by_position is not None:
                if register is None and by_position < len(ARGUMENT_REGISTERS):
                    register = ARGUMENT_REGISTERS[by_position]
                by_position += 1
            name = declared.attributes.get("DW_AT_name")
            text = name.value.decode("utf-8", "replace") if name else f"arg{len(found) + 1}"
            found.append(DebugParameter(text, _type_name(kind, MAX_TYPE_DEPTH), register))
        return tuple(found)

    def _register_at(self, die: "DIE", low: int) -> str | None:
        location = die.attributes.get("DW_AT_location")
        if location is None or self._dwarf is None:
            return None
        if location.form in ("DW_FORM_exprloc", "DW_FORM_block1"):
            return _register(location.value)
        lists = self._dwarf.location_lists()
        if lists is None:
            return None
        from elftools.dwarf.locationlists import LocationParser

        top = die.cu.get_top_DIE().attributes.get("DW_AT_low_pc")
        base = top.value if top else 0
        entries: Any = LocationParser(lists).parse_from_attribute(location, die.cu["version"], die)
        for entry in entries:
            if hasattr(entry, "base_address"):
                base = entry.base_address
            elif hasattr(entry, "begin_offset"):
                offset = 0 if entry.is_absolute else base
                if entry.begin_offset + offset <= low < entry.end_offset + offset:
                    return _register(entry.loc_expr)
        return None


def _subprograms(unit: Any) -> "Iterator[tuple[DIE, list[DIE]]]":
    """The functions of a unit that have code, each with its parameters.

    Walks from one entry to the next in the order of the bytes, and only ever forward: pyelftools' own walk follows
    sibling references, which in damaged data can lead back.
    """
    top = unit.get_top_DIE()
    at, end, depth = top.offset + top.size, unit.cu_offset + unit.size, 1
    function: DIE | None = None
    parameters: list[DIE] = []
    while at < end and depth > 0:
        die = unit.get_DIE_from_refaddr(at)
        at += die.size
        if die.is_null():
            depth -= 1
            if depth == 1 and function is not None:
                yield function, parameters
                function = None
            continue
        if depth == 1 and die.tag == "DW_TAG_subprogram" and "DW_AT_low_pc" in die.attributes:
            function, parameters = die, []
            if die.has_children:
                depth += 1
                continue
            yield function, parameters
            function = None
        elif depth == 2 and function is not None and die.tag == "DW_TAG_formal_parameter":
            parameters.append(die)
        if die.has_children:
            sibling = die.attributes.get("DW_AT_sibling")
            target = sibling.value + unit.cu_offset if sibling else 0
            if target > at:
                at = target
            else:
                depth += 1


def _register(expression: list[int]) -> str | None:
    if len(expression) == 1 and 0 <= expression[0] - DW_OP_REG0 < len(DWARF_REGISTERS):
        return DWARF_REGISTERS[expression[0] - DW_OP_REG0]
    return None


def _ranges(dwarf: Any, unit: Any) -> list[tuple[int, int]]:
    """The addresses of a unit; everything where it does not say."""
    attributes = unit.get_top_DIE().attributes
    if "DW_AT_high_pc" in attributes and "DW_AT_low_pc" in attributes:
        low, high = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
        return [(low, high.value if high.form == "DW_FORM_addr" else low + high.value)]
    lists = dwarf.range_lists() if "DW_AT_ranges" in attributes else None
    if lists is None:
        return [(0, 1 << 64)]
    base = attributes["DW_AT_low_pc"].value if "DW_AT_low_pc" in attributes else 0
    found = []
    for entry in lists.get_range_list_at_offset(attributes["DW_AT_ranges"].value, unit):
        if hasattr(entry, "base_address"):
            base = entry.base_address
        else:
            offset = 0 if entry.is_absolute else base
            found.append((entry.begin_offset + offset, entry.end_offset + offset))
    return found


def _type(die: "DIE") -> "DIE | None":
    return die.get_DIE_from_attribute("DW_AT_type") if "DW_AT_type" in die.attributes else None


def _is_scalar(die: "DIE | None", depth: int) -> bool:
    """True for what is passed in one general register: integers, enums and pointers."""
    if die is None or depth == 0:
        return False
    if die.tag in ("DW_TAG_pointer_type", "DW_TAG_enumeration_type"):
        return True
    if die.tag == "DW_TAG_base_type":
        # DW_ATE_float is 4, complex_float is 3; __int128 takes two registers.
        size, encoding = die.attributes.get("DW_AT_byte_size"), die.attributes.get("DW_AT_encoding")
        return bool(size and size.value <= 8 and encoding and encoding.value not in (3, 4))
    return die.tag not in TAG_WORDS and _is_scalar(_type(die), depth - 1)


def _type_name(die: "DIE | None", depth: int) -> str:
    if die is None:
        return "void"
    if depth == 0:
        return "?"
    name = die.attributes.get("DW_AT_name")
    if name:
        return TAG_WORDS.get(str(die.tag), "") + str(name.value.decode("utf-8", "replace"))
    inner = _type(die)
    if die.tag == "DW_TAG_pointer_type":
        if inner is not None and inner.tag == "DW_TAG_subroutine_type":
            return f"{_type_name(_type(inner), depth - 1)} (*)()"
        text = _type_name(inner, depth - 1)
        return text + ("*" if text.endswith("*") else " *")
    if die.tag in QUALIFIER_WORDS:
        word, text = QUALIFIER_WORDS[str(die.tag)], _type_name(inner, depth - 1)
        return f"{text} {word}" if text.endswith("*") else f"{word} {text}"
    if die.tag in TAG_WORDS:
        return TAG_WORDS[str(die.tag)] + "{...}"
    return _type_name(inner, depth - 1)
