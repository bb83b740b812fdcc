"""A hand-made kernel image that can be probed: entry stubs, the kprobe core's stubs, and functions to put in.

The stubs are those of ``kernels/tiny``. After a page fault the handler lets ``fault_path`` look at it, asks
``kprobe_fault_handler`` and maps the page that was hidden.
"""

import struct
from typing import Final

from kprobesim.image import KernelImage
from tests.guests.board import DATA, HIGH_PHYSICAL, TABLES, Guest
from tests.guests.code import Code
from tests.image.elf_writer import (
    ALLOC,
    EXEC,
    OBJECT,
    TEXT_BASE,
    ElfWriter,
    WrittenSection,
    WrittenSegment,
    WrittenSymbol,
)

__all__ = ["HIDDEN", "HandMadeKernel"]

HC_MARK, HC_INT3, HC_FAULT, HC_DEBUG, HC_OPTIMIZED = 6, 16, 17, 18, 21
BOOT_DONE: Final = 5
HIDDEN: Final = DATA + 0x2000
MODULE_AREA, MODULE_PAGES = 0x180000, 4
DATA_BASE: Final = TEXT_BASE + 0x10000
STUBS: Final = (
    ("kprobe_int3_handler", HC_INT3),
    ("kprobe_fault_handler", HC_FAULT),
    ("kprobe_debug_handler", HC_DEBUG),
    ("optimized_callback", HC_OPTIMIZED),
)
SAVED: Final = ("rdi", "rsi", "rdx", "rcx", "rax", "r8", "r9", "r10", "r11", "rbx", "rbp", "r12", "r13", "r14", "r15")


class HandMadeKernel:
    """Begin with `function`, end with `image`.

    It starts in ``start``, with `Code` that the test goes on writing; a mark ``boot.done`` has been given by then.

    Attributes:
        code: the text.
        fault_path_nops: how many more instructions ``fault_path`` begins with.
        read_in_fault_path: it reads the hidden page itself, and so faults once more.
    """

    def __init__(self) -> None:
        self.fault_path_nops = 0
        self.read_in_fault_path = False
        self.guest = Guest(TEXT_BASE)
        self.guest.high_pages(8, HIGH_PHYSICAL, 32)
        self.guest.high_pages(256, MODULE_AREA, MODULE_PAGES)
        self.guest.page(HIDDEN, 0)
        self.guest.gate(3, "asm_exc_int3", dpl=3)
        self.guest.gate(1, "asm_exc_debug")
        self.guest.gate(14, "asm_exc_page_fault")
        self.code: Code = self.guest.code
        self.code.labels["startup_64"] = TEXT_BASE
        self._functions: list[tuple[str, str]] = [("startup_64", ".text")]
        self._nokprobe: list[str] = []
        self._bugs: list[str] = []
        self._extable: list[str] = []
        self.code.hypercall(HC_MARK, BOOT_DONE)

    def function(self, name: str, section: str = ".text") -> Code:
        """Begin a function; sections must follow each other."""
        self.code.align().label(name)
        self._functions.append((name, section))
        return self.code

    def nokprobe(self, name: str) -> None:
        """``NOKPROBE_SYMBOL(name)``."""
        self._nokprobe.append(name)

    def bug(self, label: str) -> None:
        """There is the ud2 of a BUG() at a label."""
        self._bugs.append(label)

    def may_fault(self, label: str) -> None:
        """The exception table has an entry for a label; the fixup is ``fault_path``."""
        self._extable.append(label)

    def image(self) -> KernelImage:
        """The image; nothing can be added after this."""
        self._stubs()
        end = self.code.label("_etext").here
        text = self.code.build()
        sections, symbols = [], []
        names = list(dict.fromkeys(section for _, section in self._functions))
        starts = [
            next(self.code.labels[name] for name, section in self._functions if section == wanted) for wanted in names
        ]
        for name, start, stop in zip(names, starts, [*starts[1:], end], strict=True):
            data = text[start - TEXT_BASE : stop - TEXT_BASE]
            sections.append(WrittenSection(name, data, start, ALLOC | EXEC))
        for name, section in self._functions:
            symbols.append(WrittenSymbol(name, self.code.labels[name], section))
        data = self._data(sections, symbols)
        segments = [WrittenSegment(piece.virtual, piece.data, piece.physical) for piece in self.guest.pieces()]
        segments.append(WrittenSegment(DATA_BASE, data, HIGH_PHYSICAL + 0x10000))
        return KernelImage.open(
            ElfWriter(segments=segments, sections=sections, symbols=symbols).build(), name="hand-made"
        )

    def _data(self, sections: list[WrittenSection], symbols: list[WrittenSymbol]) -> bytes:
        """Tables and variables, from DATA_BASE on."""
        labels, data = self.code.labels, bytearray()

        def section(name: str, contents: bytes) -> int:
            place = DATA_BASE + len(data)
            sections.append(WrittenSection(name, contents, place, ALLOC))
            data.extend(contents.ljust(-len(contents) % 16 + len(contents), b"\0"))
            return place

        section(".hypercalls", b"".join(struct.pack("<QQ", labels[name], number) for name, number in STUBS))
        section(
            "_kprobe_blacklist", struct.pack(f"<{len(self._nokprobe)}Q", *(labels[name] for name in self._nokprobe))
        )
        bugs = DATA_BASE + len(data)
        section(
            "__bug_table",
            b"".join(
                struct.pack("<iii", labels[label] - bugs - 12 * number, 0, 0) for number, label in enumerate(self._bugs)
            ),
        )
        entries = b""
        for label in self._extable:
            here = DATA_BASE + len(data) + len(entries)
            entries += struct.pack("<iii", labels[label] - here, labels["fault_path"] - here - 4, 0)
        section("__ex_table", entries)
        for name, value in (("module_area_pages", MODULE_PAGES), ("current_kprobe", 0), ("counter", 0x1234)):
            place = section(f".data.{name}", struct.pack("<Q", value))
            symbols.append(WrittenSymbol(name, place, f".data.{name}", 8, OBJECT))
        return bytes(data)

    def _stubs(self) -> None:
        code = self.function("fault_path")
        code.op("nop", *["nop"] * self.fault_path_nops)
        if self.read_in_fault_path:
            code.op("mov (%rcx),%rax")
        code.op("inc %rbx", "ret")
        code = self.function("asm_exc_int3", ".entry.text")
        code.op("push $-1", *["push 40(%rsp)"] * 6)
        self._save_and_call("exc_int3")
        code = self.function("asm_exc_debug", ".entry.text")
        code.op("push $-1")
        self._save_and_call("exc_debug")
        code = self.function("asm_exc_page_fault", ".entry.text")
        self._save_and_call("exc_page_fault")
        code = self.function("exc_int3", ".noinstr.text")
        code.call("kprobe_int3_handler").op("test %eax,%eax").jz("die").op("ret")
        code.label("die").hypercall(5, "words").label("words").raw(b"int3\0".hex())
        code = self.function("exc_debug", ".noinstr.text")
        code.call("kprobe_debug_handler").op("test %eax,%eax").jz("die").op("ret")
        code = self.function("exc_page_fault", ".noinstr.text")
        code.push("rbx").push("rdi").call("fault_path").pop("rdi").pop("rbx").mov("rsi", 14)
        code.call("kprobe_fault_handler")
        code.mov("rax", HIDDEN | 3).store(TABLES + 0x3000 + 8 * (HIDDEN >> 12)).op("ret")
        for name, number in STUBS:
            code = self.function(name, ".kprobes.text")
            code.mov("rax", number).raw("e7b8").op("ret")

    def _save_and_call(self, function: str) -> None:
        for register in SAVED:
            self.code.push(register)
        self.code.op("mov %rsp,%rdi").call(function)
        for register in reversed(SAVED):
            self.code.pop(register)
        self.code.op("add $8,%rsp", "iretq")
