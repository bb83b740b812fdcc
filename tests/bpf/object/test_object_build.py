"""Compiling: the headers are complete, and the objects that lie here are what their sources give."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kprobesim.bpf import HELPER_IDS
from kprobesim.bpf.object import load_object
from kprobesim.bpf.object.compile import build_object, find_compiler, write_headers
from kprobesim.bpf.object.helper_header import SIGNATURES, helper_header
from kprobesim.errors import BadInput
from tests.bpf.object.objects import PROGRAMS, contents, toyix

SOURCES = sorted(path.stem for path in PROGRAMS.glob("*.c"))
needs_clang = pytest.mark.skipif(shutil.which("clang") is None, reason="no clang here to build the objects with")


def test_each_source_has_its_object_and_none_is_large() -> None:
    assert sorted(path.stem for path in PROGRAMS.glob("*.o")) == SOURCES
    assert max(len(contents(name)) for name in SOURCES) < 32 << 10


@needs_clang
@pytest.mark.parametrize("name", SOURCES)
def test_a_source_gives_the_object_that_lies_beside_it(name: str, tmp_path: Path) -> None:
    """The same instructions with the same compiler, whatever has changed in the kernel's types since; with another one,
    the same programs and maps."""
    built = tmp_path / f"{name}.o"
    build_object(PROGRAMS / f"{name}.c", built, toyix().btf)
    said = subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    mine = load_object(built.read_bytes(), f"{name}.o", toyix())
    theirs = load_object(contents(name), f"{name}.o", toyix())
    if said.encode() in contents(name):
        assert [program.insns for program in mine.programs] == [program.insns for program in theirs.programs]
    assert [program.name for program in mine.programs] == [program.name for program in theirs.programs]
    assert [made.spec.name for made in mine.maps] == [made.spec.name for made in theirs.maps]


@needs_clang
def test_what_the_compiler_says_reaches_the_user(tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int x = y;\n")
    with pytest.raises(BadInput, match=r"wrong\.c does not compile"):
        build_object(source, tmp_path / "wrong.o", toyix().btf)


def test_without_a_compiler_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if find_compiler() is not None:
        pytest.skip("ziglang is installed here, which is a compiler too")
    with pytest.raises(BadInput, match="no compiler for BPF"):
        build_object(PROGRAMS / "count.c", tmp_path / "count.o", toyix().btf)


def test_helpers_in_the_header_have_the_numbers_of_the_simulator() -> None:
    text = helper_header()
    found = dict(re.findall(r"\(\*bpf_(\w+)\)\(.*\) = \(void \*\)(\d+);", text))
    assert found == {name: str(HELPER_IDS[name]) for name in SIGNATURES}
    assert len(found) > 60


def test_the_kernels_types_are_in_vmlinux_h(tmp_path: Path) -> None:
    write_headers(tmp_path, toyix().btf)
    text = (tmp_path / "vmlinux.h").read_text()
    assert "preserve_access_index" in text
    for said in ("struct task_struct {", "struct pt_regs {", "typedef unsigned long long __u64;", "struct file;"):
        assert said in text
    assert sorted(path.name for path in (tmp_path / "bpf").iterdir()) == [
        "bpf_core_read.h",
        "bpf_helper_defs.h",
        "bpf_helpers.h",
        "bpf_tracing.h",
    ]


@needs_clang
def test_the_header_compiles_without_a_warning(tmp_path: Path) -> None:
    write_headers(tmp_path, toyix().btf)
    source = tmp_path / "all.c"
    source.write_text(
        '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_tracing.h>\n'
        "#include <bpf/bpf_core_read.h>\n"
    )
    words = ["clang", "-target", "bpf", "-Wall", "-Werror", "-Wno-unused-variable", "-I", ".", "-c", "all.c"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
