#!/usr/bin/env python3
"""Builds the kernel images that ship, and proves that a shipped image is the one its sources give.

    python kernels/build.py                 build every kernel
    python kernels/build.py toyix           build one
    python kernels/build.py --check         rebuild beside the shipped images and compare byte for byte

A kernel is a folder here: `flags.txt` (compiler flags, one a line), `*.c` and `*.S`, one linker script `*.lds`, and
`image.toml`. A folder `user/` holds ring-3 programs, one C file each over the small library in `user/lib/`; `root/`
holds the files of the root file system and `root.txt` what git cannot hold (devices, empty folders). Both are packed
into a cpio archive which is linked into the kernel.

Needs gcc and binutils (`CC` names another gcc), and `pahole` from the package "dwarves" for the BTF section. Of Python
only the standard library.

The same sources and tools give the same bytes anywhere: inputs are sorted, paths are relative to the kernel's folder,
nothing carries a time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HERE = Path(__file__).resolve().parent
PAGE_SIZE = 4096

LINK_FLAGS = [
    "-nostdlib",
    "-static",
    "--build-id=none",
    "-z", "max-page-size=4096",
    "-z", "noexecstack",
    # A kernel's boot segment is writable and executable on purpose; the kernel itself tightens the page tables.
    "--no-warn-rwx-segments",
]  # fmt: skip


class BuildError(Exception):
    """The build cannot go on; the text says why, for a person."""


# ---------------------------------------------------------------------------------------------------------------------
# Tools


@dataclass(frozen=True)
class Tools:
    """The programs that make an image, and the version lines that decide whether two images can be compared."""

    cc: str
    ld: str
    objcopy: str
    pahole: str
    compiler: str
    linker: str
    btf_encoder: str

    def versions(self) -> dict[str, str]:
        """What image.toml records under [build]."""
        return {"compiler": self.compiler, "linker": self.linker, "btf_encoder": self.btf_encoder}


def first_line(*command: str) -> str:
    """The first line that a tool prints about itself."""
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    return answer.stdout.splitlines()[0].strip()


def find_tools() -> Tools:
    """Looks for the compiler and its companions. Raises BuildError naming the one that is missing."""
    cc = shutil.which(os.environ.get("CC", "gcc"))
    if cc is None:
        raise BuildError("no compiler here (gcc; CC names another)")
    pahole = shutil.which(os.environ.get("PAHOLE", "pahole"))
    if pahole is None:
        raise BuildError("no compiler here that is complete: pahole is missing (package dwarves)")
    ld, objcopy = (first_line(cc, f"-print-prog-name={name}") for name in ("ld", "objcopy"))
    if shutil.which(ld) is None or shutil.which(objcopy) is None:
        raise BuildError("no compiler here that is complete: ld and objcopy are missing (package binutils)")
    return Tools(cc, ld, objcopy, pahole, first_line(cc, "--version"), first_line(ld, "--version"),
                 f"pahole {first_line(pahole, '--version')}")  # fmt: skip


def environment() -> dict[str, str]:
    """The environment of every tool: one language, one epoch, so that no output depends on who builds."""
    return {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}


def run(command: Sequence[str | Path], folder: Path) -> None:
    """Runs one tool in a folder. Raises BuildError with the first lines that the tool printed when it fails."""
    words = [str(word) for word in command]
    answer = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment())
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).splitlines()[:60]
        raise BuildError("\n".join([" ".join(words), *said]))
    if answer.stderr:
        print(answer.stderr.rstrip(), file=sys.stderr)


# ---------------------------------------------------------------------------------------------------------------------
# Compiling


def read_flags(path: Path) -> list[str]:
    """The flags in a flags.txt: one a line, `#` starts a comment."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def compile_all(tools: Tools, folder: Path, sources: Sequence[str], flags: Sequence[str], out: Path) -> list[Path]:
    """Compiles sources (paths relative to folder) and returns the objects in the same order."""
    # The compiler runs in the kernel's folder and calls it ".", so that DWARF holds no path of this machine.
    common = [tools.cc, *flags, f"-ffile-prefix-map={folder}=.", f"-fdebug-prefix-map={folder}=.", "-c"]

    def compile_one(source: str) -> Path:
        target = out / (source.replace("/", "_") + ".o")
        # For assembly, gcc does not hand the map on to the assembler by itself.
        mapped = [f"-Wa,--debug-prefix-map={folder}=."] if source.endswith(".S") else []
        run([*common, *mapped, source, "-o", target], folder)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def sources_in(folder: Path, sub: str = ".") -> list[str]:
    """The C and assembly files of one folder, sorted, relative to the kernel's folder."""
    files = [*(folder / sub).glob("*.c"), *(folder / sub).glob("*.S")]
    return sorted(file.relative_to(folder).as_posix() for file in files)


def linker_script(folder: Path) -> Path:
    """The folder's only linker script."""
    scripts = sorted(folder.glob("*.lds"))
    if len(scripts) != 1:
        raise BuildError(f"{folder}: expected one linker script (*.lds), found {len(scripts)}")
    return scripts[0]


def build_programs(tools: Tools, folder: Path, out: Path) -> dict[str, bytes]:
    """Builds `user/*.c`, each one program over `user/lib`. Returns the ELF files by program name.

    Symbols stay, because uprobes need them; debug information goes, because it would be most of the archive.
    """
    user = folder / "user"
    flags = read_flags(user / "flags.txt")
    library = compile_all(tools, folder, sources_in(folder, "user/lib"), flags, out)
    sources = sources_in(folder, "user")
    script = linker_script(user)
    programs: dict[str, bytes] = {}
    for source, made in zip(sources, compile_all(tools, folder, sources, flags, out), strict=True):
        name = Path(source).stem
        target = out / name
        run([tools.ld, *LINK_FLAGS, "--gc-sections", "-S", "-T", script, "-o", target, made, *library], out)
        programs[name] = target.read_bytes()
    return programs


# ---------------------------------------------------------------------------------------------------------------------
# The root file system: a cpio archive in the "newc" format
#
# The kernel runs user text where it lies in the archive, and a page can only be mapped whole. So the data of every ELF
# program begins at a multiple of 4096 in the archive (and the archive begins on a page of the image). newc has no field
# for that; what it has is the length of the name, which counts the terminating NUL. More NULs after the name are part
# of the name field and of no name: they push the data to where it must be.

S_IFREG, S_IFDIR, S_IFCHR = 0o100000, 0o040000, 0o020000
TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """One file, folder or device of the archive. `name` has no leading slash; `device` is (major, minor)."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)

    @property
    def page_aligned(self) -> bool:
        """Whether the data must begin on a page: programs, whose text the kernel maps in place."""
        return self.data.startswith(b"\x7fELF")


def pack_cpio(entries: Sequence[Entry]) -> bytes:
    """Packs entries, sorted by name so that a folder comes before what is in it, into a newc archive."""
    archive = bytearray()
    ordered = sorted(entries, key=lambda entry: entry.name)
    for inode, entry in enumerate([*ordered, Entry(TRAILER, 0)], start=1):
        name = entry.name.encode() + b"\0"
        align = PAGE_SIZE if entry.page_aligned else 4
        name += bytes(-(len(archive) + 110 + len(name)) % align)
        links = 2 if entry.mode & S_IFDIR else 1
        fields = [inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0]
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + name + entry.data
        archive += bytes(-len(archive) % 4)
    return bytes(archive)


def unpack_cpio(archive: bytes) -> Iterator[tuple[Entry, int]]:
    """Yields every entry with the offset of its data. Raises ValueError where the archive is not newc."""
    at = 0
    while True:
        if archive[at : at + 6] != b"070701":
            raise ValueError(f"no newc header at offset {at}")
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, major, minor, name_size = fields[1], fields[6], fields[9], fields[10], fields[11]
        name = archive[at + 110 : at + 110 + name_size].rstrip(b"\0").decode()
        if name == TRAILER:
            return
        data_at = (at + 110 + name_size + 3) & ~3
        yield Entry(name, mode, archive[data_at : data_at + size], (major, minor)), data_at
        at = (data_at + size + 3) & ~3


def read_root(folder: Path) -> list[Entry]:
    """The entries of `root/` and `root.txt`. A line of root.txt: `d mode path` or `c mode path major minor`."""
    root = folder / "root"
    entries: dict[str, Entry] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root).as_posix()
        # Folders come with their files: an empty one is not in git, and would make this checkout's image its own.
        for folder_name in PurePosixPath(name).parents[:-1]:
            entries[str(folder_name)] = Entry(str(folder_name), S_IFDIR | 0o755)
        entries[name] = Entry(name, S_IFREG | 0o644, path.read_bytes())
    for line in read_flags(folder / "root.txt"):
        kind, mode, name, *device = line.split()
        if kind == "d":
            entries[name] = Entry(name, S_IFDIR | int(mode, 8))
        else:
            entries[name] = Entry(name, S_IFCHR | int(mode, 8), device=(int(device[0]), int(device[1])))
    return list(entries.values())


def build_initramfs(tools: Tools, folder: Path, out: Path) -> Path:
    """Packs programs and root files, and returns an object with the archive in section .init.ramfs."""
    entries = read_root(folder)
    for name, elf in build_programs(tools, folder, out).items():
        # pid 1 is /init, as for every Linux initramfs.
        entries.append(Entry("init" if name == "init" else f"bin/{name}", S_IFREG | 0o755, elf))
    (out / "initramfs.cpio").write_bytes(pack_cpio(entries))
    (out / "initramfs_data.S").write_text(
        '.section .init.ramfs, "a"\n'
        ".balign 4096\n"
        ".globl __initramfs_start, __initramfs_end\n"
        '__initramfs_start: .incbin "initramfs.cpio"\n'
        "__initramfs_end:\n"
        '.section .note.GNU-stack, "", @progbits\n'
    )
    run([tools.cc, "-c", "initramfs_data.S", "-o", "initramfs_data.S.o"], out)
    return out / "initramfs_data.S.o"


# ---------------------------------------------------------------------------------------------------------------------
# Images


def variants(folder: Path) -> dict[str, list[str]]:
    """The configurations a kernel is built in: file name without `.elf` -> flags of flags.txt that it goes without.

    The first one bears the kernel's name and has all flags; `[variants.NAME]` of image.toml describes the others.
    """
    with (folder / "image.toml").open("rb") as file:
        table = tomllib.load(file).get("variants", {})
    return {folder.name: [], **{f"{folder.name}-{name}": list(variant["without"]) for name, variant in table.items()}}


def build_images(tools: Tools, folder: Path, out: Path) -> list[Path]:
    """Builds all variants of a kernel in `out`, leaving the kernel's folder alone. Returns the finished ELFs."""
    return [build_image(tools, folder, out, name, without) for name, without in variants(folder).items()]


def build_image(tools: Tools, folder: Path, out: Path, name: str, without: Sequence[str]) -> Path:
    """Builds one variant of a kernel. Returns the finished ELF."""
    flags = [flag for flag in read_flags(folder / "flags.txt") if flag not in without]
    objects = compile_all(tools, folder, sources_in(folder), flags, out)
    if (folder / "user").is_dir():
        objects.append(build_initramfs(tools, folder, out))
    linked, btf, image = out / "vmlinux", out / "vmlinux.btf", out / f"{name}.elf"
    run([tools.ld, *LINK_FLAGS, "-T", linker_script(folder), "-o", linked, *objects], out)
    # pahole writes over an old file without cutting it off.
    btf.unlink(missing_ok=True)
    run([tools.pahole, f"--btf_encode_detached={btf}", linked], out)
    # BTF is added by objcopy and not by `pahole -J`, which would want llvm-objcopy.
    run([tools.objcopy, "--add-section", f".BTF={btf}", "--set-section-flags", ".BTF=readonly,data",
         "--compress-debug-sections=zlib", linked, image], out)  # fmt: skip
    image.chmod(0o644)
    return image


def record_tools(folder: Path, tools: Tools) -> None:
    """Rewrites the table [build], the last one of image.toml; what stands above it is written by hand."""
    path = folder / "image.toml"
    by_hand = path.read_text(encoding="utf-8").split("[build]")[0] if path.exists() else ""
    lines = [f'{key} = "{value}"' for key, value in tools.versions().items()]
    text = by_hand + "[build]\n# Written by kernels/build.py: another compiler gives another image.\n"
    path.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


def recorded_tools(folder: Path) -> dict[str, str]:
    """The tools that made the shipped image, by image.toml."""
    with (folder / "image.toml").open("rb") as file:
        return dict(tomllib.load(file).get("build", {}))


def check_image(tools: Tools, folder: Path) -> bool:
    """Rebuilds a kernel in a temporary folder and says how it compares. False only when it differs."""
    made_by, here = recorded_tools(folder), tools.versions()
    for tool, version in here.items():
        if made_by.get(tool) != version:
            print(f"{folder.name}: another {tool} ({version}), image was made by {made_by.get(tool)}: not comparable")
            return True
    with tempfile.TemporaryDirectory() as scratch:
        built = build_images(tools, folder, Path(scratch))
        same = all(image.read_bytes() == (folder / image.name).read_bytes() for image in built)
    print(f"{folder.name}: {'the shipped image is what its sources give' if same else 'DIFFERENT from its sources'}")
    return same


def kernels() -> list[str]:
    """The kernels there are: folders with flags.txt and a linker script."""
    return sorted(path.parent.name for path in HERE.glob("*/flags.txt") if list(path.parent.glob("*.lds")))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 1 when a build fails or an image differs."""
    parser = argparse.ArgumentParser(description="Build the kernel images, or check the ones that ship.")
    parser.add_argument("kernel", nargs="*", help=f"which ones (default: {' '.join(kernels())})")
    parser.add_argument("--check", action="store_true", help="rebuild elsewhere and compare with what ships")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave objects and programs in this folder")
    options = parser.parse_args(arguments)
    names: list[str] = options.kernel or kernels()
    for name in names:
        if name not in kernels():
            parser.error(f"no kernel {name!r} here; there are: {', '.join(kernels())}")
    try:
        tools = find_tools()
    except BuildError as missing:
        print(missing, file=sys.stderr if not options.check else sys.stdout)
        return 0 if options.check else 1
    try:
        if options.check:
            different = [name for name in names if not check_image(tools, HERE / name)]
            return 1 if different else 0
        for name in names:
            folder = HERE / name
            with tempfile.TemporaryDirectory() as scratch:
                out = Path(scratch)
                if options.keep:
                    out = options.keep.resolve() / name
                    out.mkdir(parents=True, exist_ok=True)
                for image in build_images(tools, folder, out):
                    shutil.copyfile(image, folder / image.name)
                    print(f"{image.name}: {image.stat().st_size} bytes, {tools.compiler}")
            record_tools(folder, tools)
    except BuildError as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
