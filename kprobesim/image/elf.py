"""The ELF file of a kernel: what the loader copies into RAM, and the sections that tools read.

Every check is made here, once, so that the rest of the program can trust a :class:`KernelImage`. What a kernel
image may look like is said in ``docs/machine.md``; the file format is the System V gABI, chapters 4 and 5.
"""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from kprobesim.errors import ImageError

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

__all__ = ["MAX_PHYSICAL", "MIN_PHYSICAL", "KernelImage", "Section", "Segment"]

MIN_PHYSICAL = 0x10000
"""Below this the loader keeps its boot parameters and page tables (``docs/machine.md``)."""
MAX_PHYSICAL = 1 << 30
"""No sensible teaching kernel needs RAM above 1 GiB."""

MAX_FILE_SIZE = 256 << 20
MAX_SEGMENTS = 64
MAX_SECTIONS = 4096
MAX_UNPACKED_SECTION = 64 << 20

PF_X, PF_W, PF_R = 1, 2, 4
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_COMPRESSED = 1, 2, 4, 0x800
SHT_NOBITS = "SHT_NOBITS"

ELF_HEADER_SIZE = 64
PROGRAM_HEADER_SIZE = 56
SECTION_HEADER_SIZE = 64
COMPRESSION_HEADER = struct.Struct("<IIQQ")


@dataclass(frozen=True, slots=True)
class Segment:
    """A ``PT_LOAD`` segment.

    ``virtual`` and ``physical`` are its first addresses, ``data`` the bytes in the file, ``memory_size`` how many
    bytes it takes in RAM (the rest is zeroes), ``flags`` its ``PF_*`` bits.
    """

    virtual: int
    physical: int
    memory_size: int
    flags: int
    data: memoryview

    @property
    def file_size(self) -> int:
        """Bytes to copy; the other ``memory_size - file_size`` are zeroed."""
        return len(self.data)

    @property
    def virtual_end(self) -> int:
        """One past its last virtual address."""
        return self.virtual + self.memory_size

    @property
    def permissions(self) -> str:
        """As ``readelf`` shows them: ``r-x``, ``rw-``."""
        return "".join(letter if self.flags & bit else "-" for letter, bit in (("r", PF_R), ("w", PF_W), ("x", PF_X)))


@dataclass(frozen=True, slots=True)
class Section:
    """A section: ``address`` is 0 for one that is not loaded; ``size`` counts bytes in memory, or unpacked ones."""

    name: str
    address: int
    size: int
    flags: int
    is_nobits: bool
    raw: memoryview

    @property
    def end(self) -> int:
        """One past its last address."""
        return self.address + self.size

    @property
    def is_loaded(self) -> bool:
        """True when it is part of the running kernel (``SHF_ALLOC``)."""
        return bool(self.flags & SHF_ALLOC)

    @property
    def is_text(self) -> bool:
        """True when it holds instructions (``SHF_EXECINSTR``)."""
        return bool(self.flags & SHF_EXECINSTR)

    @property
    def is_writable(self) -> bool:
        """True when the kernel writes it (``SHF_WRITE``)."""
        return bool(self.flags & SHF_WRITE)

    @property
    def data(self) -> bytes:
        """Its bytes, unpacked; empty for one that has none in the file (``.bss``).

        Raises:
            ImageError: the packed data is damaged.
        """
        if self.is_nobits:
            return b""
        if not self.flags & SHF_COMPRESSED:
            return bytes(self.raw)
        import zlib

        try:
            unpacked = zlib.decompressobj().decompress(self.raw[COMPRESSION_HEADER.size :], self.size)
        except zlib.error as error:
            raise ImageError(f"Section {self.name} is compressed and damaged: {error}.") from None
        if len(unpacked) != self.size:
            raise ImageError(f"Section {self.name} unpacks to {len(unpacked)} bytes, not the {self.size} it promises.")
        return unpacked


@dataclass(frozen=True)
class KernelImage:
    """A kernel image that passed every check; nothing in it changes.

    ``entry`` is the address where vCPU 0 starts, ``segments`` are sorted by virtual address, ``sections`` go by name
    (the first one where a name is used twice).
    """

    name: str
    entry: int
    segments: tuple[Segment, ...]
    sections: Mapping[str, Section]
    sections_by_index: tuple[Section | None, ...]
    contents: bytes

    @classmethod
    def open(cls, source: str | Path | bytes, *, name: str = "") -> "KernelImage":
        """Read and check an image.

        Args:
            source: a path, or the file's bytes.
            name: what to call it in messages; the file's name unless given.

        Raises:
            ImageError: it cannot be read, or is not a kernel image that the machine can load.
        """
        if isinstance(source, bytes):
            contents, name = source, name or "the image"
        else:
            path = Path(source)
            contents, name = _read_file(path), name or path.name
        _check_identity(name, contents)
        try:
            return _parse(name, contents)
        except ImageError:
            raise
        except Exception as error:
            # pyelftools meets damage with whatever its parser stumbled over.
            raise ImageError(
                f"{name} is a damaged ELF file ({type(error).__name__}: {error}).", hint="Build the kernel again."
            ) from None

    @cached_property
    def sha256(self) -> str:
        """Of the whole file, in hex."""
        import hashlib

        return hashlib.sha256(self.contents).hexdigest()

    @property
    def highest_physical(self) -> int:
        """One past the last physical address that a segment takes: RAM must be at least this big."""
        return max(segment.physical + segment.memory_size for segment in self.segments)

    def segment_at(self, address: int) -> Segment | None:
        """The segment that holds this virtual address."""
        for segment in self.segments:
            if segment.virtual <= address < segment.virtual_end:
                return segment
        return None

    def section_at(self, address: int) -> Section | None:
        """The loaded section that holds this virtual address."""
        for section in self.sections_by_index:
            if section and section.is_loaded and section.address <= address < section.end:
                return section
        return None

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the kernel as the loader leaves them in memory.

        Args:
            address: virtual address of the first.
            size: how many.

        Raises:
            ImageError: they are not all inside one segment.
        """
        segment = self.segment_at(address)
        if segment is None or size < 0 or address + size > segment.virtual_end:
            raise ImageError(f"{self.name} has no {size} bytes at {address:#x}.")
        start = address - segment.virtual
        found = bytes(segment.data[start : start + size])
        return found + bytes(size - len(found))


def _read_file(path: Path) -> bytes:
    try:
        if not path.is_file():
            problem = "is not a file" if path.exists() else "does not exist"
            raise ImageError(f"{path} {problem}.", hint="Give the path of a kernel's ELF file.")
        if path.stat().st_size > MAX_FILE_SIZE:
            raise ImageError(f"{path} is larger than {MAX_FILE_SIZE >> 20} MiB.", hint="Is it really a kernel image?")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def _check_identity(name: str, contents: bytes) -> None:
    """Say what kind of foreign file this is, before any parser sees it."""
    build = "Build it with gcc -m64 -static -no-pie and the kernel's linker script."
    if contents[:4] != b"\x7fELF":
        what = "is empty" if not contents else "is not an ELF file"
        hint = "That is a compressed Linux image; only an ELF can be loaded." if contents[:2] == b"MZ" else ""
        raise ImageError(f"{name} {what}.", hint=hint or "A kernel image is the ELF file that the linker wrote.")
    if len(contents) < ELF_HEADER_SIZE:
        raise ImageError(f"{name} ends after {len(contents)} bytes, inside the ELF header.", hint="Copy it again.")
    if len(contents) > MAX_FILE_SIZE:
        raise ImageError(f"{name} is larger than {MAX_FILE_SIZE >> 20} MiB.", hint="Is it really a kernel image?")
    if contents[4] != 2:
        raise ImageError(f"{name} is a 32-bit ELF; this machine runs x86-64 kernels.", hint=build)
    if contents[5] != 1:
        raise ImageError(f"{name} is big-endian; x86-64 is little-endian.", hint=build)
    kind, machine = struct.unpack_from("<HH", contents, 16)
    if machine != 62:
        raise ImageError(f"{name} is for another processor (e_machine {machine}, x86-64 is 62).", hint=build)
    if kind != 2:
        sort = {1: ", an object file", 3: ", position independent or a shared object", 4: ", a core dump"}.get(kind, "")
        raise ImageError(f"{name} is not a fixed-address executable (e_type {kind}{sort}).", hint=build)
    # Sizes are checked before pyelftools trusts them: a section header table may claim to be exabytes long.
    phoff, shoff = struct.unpack_from("<QQ", contents, 32)
    phentsize, phnum, shentsize, shnum, _ = struct.unpack_from("<HHHHH", contents, 54)
    if phnum == 0:
        raise ImageError(f"{name} has no segments, so there is nothing to load.", hint="Link it: ld writes them.")
    tables = (
        ("program", phoff, phentsize, phnum, PROGRAM_HEADER_SIZE, MAX_SEGMENTS),
        ("section", shoff, shentsize, shnum, SECTION_HEADER_SIZE, MAX_SECTIONS),
    )
    for table, offset, entry_size, count, expected, limit in tables:
        if table == "section" and offset == 0:
            continue
        if entry_size != expected or not 0 < count <= limit:
            raise ImageError(f"{name} has {count} {table} headers of {entry_size} bytes each, which is not sensible.")
        if offset + count * entry_size > len(contents):
            raise ImageError(f"{name} is cut off: its {table} headers are past its end.", hint="Copy it again.")


def _parse(name: str, contents: bytes) -> KernelImage:
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(contents))
    segments = _segments(name, elf, contents)
    by_index = _sections(name, elf, contents)
    by_name: dict[str, Section] = {}
    for section in by_index:
        if section:
            by_name.setdefault(section.name, section)
    entry = int(elf.header["e_entry"])
    if not any(
        start <= entry < start + segment.memory_size
        for segment in segments
        for start in (segment.virtual, segment.physical)
    ):
        raise ImageError(
            f"{name} starts at {entry:#x}, which is in none of its segments.", hint="Set ENTRY() in the linker script."
        )
    return KernelImage(name, entry, segments, MappingProxyType(by_name), by_index, contents)


def _segments(name: str, elf: "ELFFile", contents: bytes) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for index in range(elf.num_segments()):
        header = elf.get_segment(index).header
        if header["p_type"] != "PT_LOAD" or header["p_memsz"] == 0:
            continue
        virtual, physical = header["p_vaddr"], header["p_paddr"]
        memory, in_file, offset = header["p_memsz"], header["p_filesz"], header["p_offset"]
        where = f"{name}: segment {index}"
        if in_file > memory:
            raise ImageError(f"{where} has {in_file} bytes in the file but only {memory} in memory.")
        if offset + in_file > len(contents):
            raise ImageError(f"{where} is cut off: its bytes are past the end of the file.", hint="Copy it again.")
        if physical + memory > MAX_PHYSICAL:
            raise ImageError(
                f"{where} wants physical addresses {physical:#x} to {physical + memory:#x}, above 1 GiB.",
                hint="Give it a load address with AT() in the linker script.",
            )
        if physical < MIN_PHYSICAL:
            raise ImageError(
                f"{where} wants physical address {physical:#x}; the loader keeps everything below {MIN_PHYSICAL:#x}.",
                hint="Give it a load address with AT() in the linker script.",
            )
        if not (virtual + memory <= 1 << 47 or virtual >= (1 << 64) - (1 << 47)) or virtual + memory > 1 << 64:
            raise ImageError(f"{where} has virtual address {virtual:#x}, which is not canonical.")
        if virtual % 4096 != physical % 4096:
            raise ImageError(
                f"{where} is at virtual {virtual:#x} and physical {physical:#x}, which no page table can join.",
                hint="Both must have the same offset in a 4096-byte page.",
            )
        data = memoryview(contents)[offset : offset + in_file]
        found.append(Segment(virtual, physical, memory, header["p_flags"], data))
    if not found:
        raise ImageError(
            f"{name} has no loadable segments, so there is nothing to load.", hint="Link it: ld writes them."
        )
    for what in ("physical", "virtual"):
        spans = sorted((getattr(segment, what), segment.memory_size) for segment in found)
        for (first, size), (second, _) in pairwise(spans):
            if first + size > second:
                raise ImageError(f"{name} has two segments that overlap at {what} address {second:#x}.")
    return tuple(sorted(found, key=lambda segment: segment.virtual))


def _sections(name: str, elf: "ELFFile", contents: bytes) -> tuple[Section | None, ...]:
    found: list[Section | None] = []
    for index in range(elf.num_sections()):
        section = elf.get_section(index)
        header = section.header
        if header["sh_type"] == "SHT_NULL":
            found.append(None)
            continue
        nobits = header["sh_type"] == SHT_NOBITS
        size, offset, address = header["sh_size"], header["sh_offset"], header["sh_addr"]
        if not nobits and offset + size > len(contents):
            raise ImageError(f"{name} is cut off: section {section.name} is past its end.", hint="Copy it again.")
        if header["sh_flags"] & SHF_ALLOC and address + size > 1 << 64:
            raise ImageError(f"{name}: section {section.name} wraps around the end of the address space.")
        raw = memoryview(contents)[offset : offset + (0 if nobits else size)]
        if header["sh_flags"] & SHF_COMPRESSED and not nobits:
            size = _unpacked_size(name, section.name, raw)
        found.append(Section(section.name, address, size, header["sh_flags"], nobits, raw))
    return tuple(found)


def _unpacked_size(name: str, section: str, raw: memoryview) -> int:
    if len(raw) < COMPRESSION_HEADER.size:
        raise ImageError(f"{name}: section {section} is compressed and too short.")
    kind, _, size, _ = COMPRESSION_HEADER.unpack_from(raw)
    if kind != 1:
        raise ImageError(
            f"{name}: section {section} is compressed in a way that is not zlib (ch_type {kind}).",
            hint="Build it with -gz=zlib or -gz=none.",
        )
    if size > MAX_UNPACKED_SECTION:
        raise ImageError(f"{name}: section {section} claims to unpack to {size} bytes, which is not sensible.")
    return int(size)
