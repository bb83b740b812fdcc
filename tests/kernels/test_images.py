"""The kernel images that ship: what tools find in them, and that the build rule gives them again."""

import io
import struct
import tomllib
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from kprobesim.image import BranchKind, Instruction, Kallsyms, decode_range, open_image, read_tables
from tests.scripts import load_script

REPOSITORY = Path(__file__).resolve().parents[2]
KERNELS = REPOSITORY / "kernels"
IMAGES = ("tiny", "toyix")
LARGEST_IMAGE = 1_500_000
TEXT_START, PHYSICAL_START = 0xFFFFFFFF81000000, 0x100000

pytestmark = pytest.mark.skipif(not KERNELS.is_dir(), reason="kernels/ is only in a checkout")


build = load_script(KERNELS / "build.py")


def symbols_of(elf: ELFFile) -> dict[str, int]:
    table = elf.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols() if symbol.name}


class Image:
    """A shipped image, opened once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = KERNELS / name / f"{name}.elf"
        self.elf = ELFFile(io.BytesIO(self.path.read_bytes()))
        self.symbols = symbols_of(self.elf)

    def section(self, name: str) -> bytes:
        section = self.elf.get_section_by_name(name)
        assert section is not None, f"{self.name} has no section {name}"
        return bytes(section.data())

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of the image as they are loaded."""
        for segment in self.elf.iter_segments("PT_LOAD"):
            offset = address - segment["p_vaddr"]
            if offset >= 0 and offset + size <= segment["p_filesz"]:
                return bytes(segment.data()[offset : offset + size])
        raise AssertionError(f"{address:#x} is in no segment")

    def table(self, name: str) -> bytes:
        """What lies between Linux's two marks of a table."""
        start, end = self.symbols[f"__start_{name}"], self.symbols[f"__stop_{name}"]
        return self.memory(start, end - start)

    def has_text(self, kind: str) -> bool:
        """A section of its own, or a non-empty stretch of .text between Linux's two marks."""
        section = self.elf.get_section_by_name(f".{kind}.text")
        if section is not None:
            return bool(section["sh_size"])
        start, end = (self.symbols.get(f"__{kind}_text_{mark}", 0) for mark in ("start", "end"))
        return bool(start < end)

    def line_files(self) -> set[str]:
        """Every source file that a line of .debug_line comes from."""
        files: set[str] = set()
        dwarf = self.elf.get_dwarf_info()
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            if program is None or not program.get_entries():
                continue
            files.update(entry.name.decode() for entry in program["file_entry"])
        return files


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest) -> Image:
    return Image(request.param)


@pytest.fixture(scope="module")
def toyix() -> Image:
    return Image("toyix")


def archive_of(image: Image) -> bytes:
    start, end = image.symbols["__initramfs_start"], image.symbols["__initramfs_end"]
    return image.memory(start, end - start)


# What every image must have


def test_image_is_small_and_loaded_where_the_board_says(image: Image) -> None:
    assert image.path.stat().st_size < LARGEST_IMAGE
    assert image.elf.header.e_type == "ET_EXEC"
    first = next(image.elf.iter_segments("PT_LOAD"))
    assert (first["p_vaddr"], first["p_paddr"]) == (TEXT_START, PHYSICAL_START)
    for segment in image.elf.iter_segments("PT_LOAD"):
        assert segment["p_vaddr"] - segment["p_paddr"] == TEXT_START - PHYSICAL_START


def test_no_segment_is_both_writable_and_executable(image: Image) -> None:
    for segment in image.elf.iter_segments("PT_LOAD"):
        assert segment["p_flags"] & 3 != 3


def test_image_has_symbols_lines_and_btf(image: Image) -> None:
    assert "kprobe_int3_handler" in image.symbols
    assert "asm_exc_int3" in image.symbols
    assert any(name.endswith(".S") for name in image.line_files())
    assert struct.unpack_from("<H", image.section(".BTF")) == (0xEB9F,)


def test_no_path_of_the_builder_is_in_the_image(image: Image) -> None:
    sections = [section.data() for section in image.elf.iter_sections() if section.name.startswith((".debug", ".BTF"))]
    assert not any(str(REPOSITORY).encode() in data for data in sections)


@pytest.mark.parametrize("kind", ["kprobes", "noinstr", "entry"])
def test_text_that_may_not_be_probed_is_marked(image: Image, kind: str) -> None:
    assert image.has_text(kind)


def test_hypercalls_name_functions_of_the_image(image: Image) -> None:
    table = image.table("hypercalls")
    stubs = dict(struct.iter_unpack("<QQ", table))
    assert set(stubs) <= set(image.symbols.values())
    assert min(stubs.values()) >= 16
    assert len(set(stubs.values())) == len(stubs)
    assert image.symbols["kprobe_int3_handler"] in stubs


def test_areas_for_the_host_are_exported(image: Image) -> None:
    for name in ("module_area_phys", "module_area_pages", "bpf_area_phys", "bpf_area_pages", "current_task"):
        assert name in image.symbols


def test_description_is_complete(image: Image) -> None:
    description = tomllib.loads((KERNELS / image.name / "image.toml").read_text(encoding="utf-8"))
    for key in ("title", "summary"):
        assert description[key]["en"] and description[key]["zh"]
    assert description["cpus"] >= 1
    assert set(description["build"]) == {"compiler", "linker", "btf_encoder"}


# toyix


def test_every_place_for_a_ftrace_call_holds_a_nop(toyix: Image) -> None:
    table = toyix.table("mcount_loc")
    assert len(table) > 8 * 200
    for (address,) in struct.iter_unpack("<Q", table):
        assert toyix.memory(address, 5) == bytes.fromhex("0f1f440000")


@pytest.mark.parametrize(
    "names",
    [
        "vfs_open vfs_read vfs_write vfs_create vfs_mkdir vfs_rmdir vfs_unlink vfs_rename vfs_llseek vfs_getattr",
        "vfs_readv vfs_writev vfs_statx vfs_fsync vfs_fsync_range ksys_read ksys_write do_sys_open do_sys_openat2",
        "do_filp_open path_openat link_path_walk walk_component lookup_fast lookup_slow d_lookup __d_lookup d_alloc",
        "d_add dput filename_lookup getname putname fget __fdget_pos fput alloc_fd fd_install filp_close",
        "do_dentry_open security_file_open pipe_read pipe_write do_pipe2 ksys_dup3 iterate_dir do_unlinkat",
        "do_mkdirat do_rmdir __x64_sys_read __x64_sys_openat __x64_sys_getdents64 __x64_sys_pipe2",
    ],
)
def test_functions_that_tools_probe_are_there(toyix: Image, names: str) -> None:
    assert not [name for name in names.split() if name not in toyix.symbols]


def test_vfs_open_begins_with_a_nop_and_a_frame(toyix: Image) -> None:
    assert toyix.memory(toyix.symbols["vfs_open"], 9) == bytes.fromhex("0f1f440000 55 4889e5")


# The archive of the root file system


def test_programs_lie_on_whole_pages(toyix: Image) -> None:
    assert toyix.symbols["__initramfs_start"] % build.PAGE_SIZE == 0
    programs = [(entry, at) for entry, at in build.unpack_cpio(archive_of(toyix)) if entry.data[:4] == b"\x7fELF"]
    assert len(programs) >= 10
    for entry, at in programs:
        assert at % build.PAGE_SIZE == 0, entry.name


def test_root_has_its_files(toyix: Image) -> None:
    entries = {entry.name: entry for entry, _ in build.unpack_cpio(archive_of(toyix))}
    programs = {"cat", "dd", "echo", "ls", "sh", "sleep", "spin", "true", "false", "wc"}
    assert {"init", "etc/motd", "etc/passwd", "etc/hostname", "home/notes.txt", "tmp"} <= set(entries)
    assert {f"bin/{name}" for name in programs} <= set(entries)
    assert entries["dev/console"].device == (5, 1)
    assert entries["dev/console"].mode & 0o170000 == 0o020000


def test_program_segments_have_pages_of_their_own(toyix: Image) -> None:
    for entry, _ in build.unpack_cpio(archive_of(toyix)):
        if entry.data[:4] != b"\x7fELF":
            continue
        elf = ELFFile(io.BytesIO(entry.data))
        pages: set[int] = set()
        for segment in elf.iter_segments("PT_LOAD"):
            if not segment["p_memsz"]:
                continue
            assert segment["p_offset"] % build.PAGE_SIZE == segment["p_vaddr"] % build.PAGE_SIZE
            assert segment["p_flags"] & 3 != 3
            mine = set(range(segment["p_vaddr"] >> 12, (segment["p_vaddr"] + segment["p_memsz"] + 4095) >> 12))
            assert not mine & pages
            pages |= mine
        assert {"_start", "main"} <= set(symbols_of(elf))


def test_cpio_gives_back_what_was_packed() -> None:
    entries = [
        build.Entry("a", build.S_IFDIR | 0o755),
        build.Entry("a/text", build.S_IFREG | 0o644, b"five!"),
        build.Entry("a/null", build.S_IFCHR | 0o666, device=(1, 3)),
        build.Entry("b", build.S_IFREG | 0o755, b"\x7fELF" + bytes(9000)),
        build.Entry("c", build.S_IFREG | 0o644),
    ]
    archive = build.pack_cpio(entries)
    unpacked = list(build.unpack_cpio(archive))
    assert sorted((entry for entry, _ in unpacked), key=lambda entry: entry.name) == sorted(
        entries, key=lambda entry: entry.name
    )
    assert {entry.name: at % build.PAGE_SIZE for entry, at in unpacked}["b"] == 0


def test_packing_depends_on_nothing_but_the_entries() -> None:
    entries = [build.Entry(name, build.S_IFREG | 0o644, name.encode()) for name in ("x", "y", "z")]
    assert build.pack_cpio(entries) == build.pack_cpio(entries[::-1])


def test_a_damaged_archive_is_refused() -> None:
    with pytest.raises(ValueError, match="no newc header"):
        list(build.unpack_cpio(b"070702" + bytes(200)))


def test_empty_folders_of_a_checkout_do_not_reach_the_archive(tmp_path: Path) -> None:
    (tmp_path / "root" / "empty").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "file").write_bytes(b"x")
    (tmp_path / "root.txt").write_text("d 1777 tmp\nc 666 dev/null 1 3\n", encoding="utf-8")
    assert {entry.name for entry in build.read_root(tmp_path)} == {"a", "a/b", "a/b/file", "tmp", "dev/null"}


# The build rule


def test_flags_ignore_comments_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "flags.txt"
    path.write_text("# why\n-O1\n\n-g  # lines\n", encoding="utf-8")
    assert build.read_flags(path) == ["-O1", "-g"]


@pytest.mark.parametrize("name", IMAGES)
def test_shipped_image_is_what_its_sources_give(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--check", name]) == 0
    said = capsys.readouterr().out
    assert any(text in said for text in ("what its sources give", "not comparable", "no compiler here"))


def test_without_a_compiler_check_says_so_and_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert build.main(["--check", "tiny"]) == 0
    assert "no compiler here" in capsys.readouterr().out


def test_another_compiler_is_not_compared(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    other = build.Tools("gcc", "ld", "objcopy", "pahole", "gcc 99.0", "ld 99", "pahole 99")
    monkeypatch.setattr(build, "find_tools", lambda: other)
    assert build.main(["--check", "tiny"]) == 0
    assert "not comparable" in capsys.readouterr().out


@pytest.mark.parametrize(("variant", "preemptible"), [("", True), ("-bare", True), ("-server", False)])
def test_only_the_servers_kernel_does_without_preemption(variant: str, preemptible: bool) -> None:
    """Where CONFIG_PREEMPTION is off, nothing calls what takes the CPU away from a task in the kernel."""
    image = open_image(KERNELS / "toyix" / f"toyix{variant}.elf")
    symbols = Kallsyms.from_image(image)
    start, end = (symbols.lookup_name(name)[0].address for name in ("_stext", "_etext"))
    code = [item for item in decode_range(image.read(start, end - start), start) if isinstance(item, Instruction)]
    targets = {item.end + item.immediate for item in code if item.encoding.branch is BranchKind.CALL}
    for name in ("preempt_schedule", "preempt_schedule_irq"):
        assert (symbols.lookup_name(name)[0].address in targets) == preemptible, name


@pytest.mark.parametrize("variant", ["", "-bare", "-server"])
def test_only_the_usual_kernel_has_sites_for_ftrace(variant: str) -> None:
    image = open_image(KERNELS / "toyix" / f"toyix{variant}.elf")
    symbols = Kallsyms.from_image(image)
    assert bool(read_tables(image, symbols).mcount_loc) == (variant == "")
    order = [symbols.lookup_name(f"ftrace_regs_call{end}")[0].address for end in ("er", "", "er_end")]
    assert order == sorted(order)
