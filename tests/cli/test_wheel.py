"""What is installed works without the checkout: images, sources and lessons travel in the wheel."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.cli.console import COMMAND, REPOSITORY, environment

pytest.importorskip("build")
pytest.importorskip("hatchling")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    arguments = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(REPOSITORY)]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_sources_and_images_but_nothing_left_over(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("kernels/toyix/toyix.elf", "kernels/tiny/tiny.S", "lessons/demos/first-probe/by_pid.bpf"):
        assert f"kprobesim/_data/{needed}" in names
    assert "kprobesim/lab/texts/zh.toml" in names
    left_over = (".o", ".d", ".tmp", ".pyc", ".cpio", ".debug")
    assert not [name for name in names if name.endswith(left_over) or "__pycache__" in name or "/build/" in name]
    assert wheel.stat().st_size < 6_000_000


def test_an_installed_kprobesim_finds_its_images_and_lessons(wheel: Path, tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    zipfile.ZipFile(wheel).extractall(target)
    done = subprocess.run(
        [*COMMAND, "demo", "--plain"],
        cwd=elsewhere, capture_output=True, text=True, check=False,
        env=environment(PYTHONPATH=os.pathsep.join([str(target), sysconfig.get_path("purelib")]), PYTHONSAFEPATH="1"),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "vfs_read" in done.stdout
