"""Images by name, and source files that stay in their folder."""

import os
from pathlib import Path

import pytest

from kprobesim.errors import BadInput, ImageError
from kprobesim.image import SourceFolder, find_image, kernels_folder, list_images, open_image
from tests.image.elf_writer import small_kernel

DESCRIPTION = """
title.en = "tiny: one page"
title.zh = "tiny：一页"
summary.en = "Small."
summary.zh = "小。"
cpus = 1
probe = "tiny_add"
[build]
compiler = "gcc"
"""


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    for name in ("tiny", "toyix"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.toml").write_text(DESCRIPTION, encoding="utf-8")
    (tmp_path / "tiny" / "tiny.elf").write_bytes(small_kernel().build())
    (tmp_path / "not_a_kernel").mkdir()
    return tmp_path


def test_images_are_listed_with_their_description(kernels: Path) -> None:
    tiny, toyix = list_images(kernels)
    assert (tiny.name, toyix.name) == ("tiny", "toyix")
    assert tiny.title == {"en": "tiny: one page", "zh": "tiny：一页"}
    assert tiny.defaults == {"cpus": 1, "probe": "tiny_add"}
    assert tiny.build == {"compiler": "gcc"}
    assert tiny.is_built
    assert not toyix.is_built


def test_an_image_opens_by_name_or_path(kernels: Path) -> None:
    by_name = open_image("tiny", kernels)
    assert by_name.name == "tiny"
    for path in (kernels / "tiny" / "tiny.elf", str(kernels / "tiny" / "tiny.elf")):
        assert open_image(path).sha256 == by_name.sha256


def test_a_name_with_a_mistake_gets_a_suggestion(kernels: Path) -> None:
    with pytest.raises(BadInput, match=r"'toyx'.*Did you mean toyix"):
        open_image("toyx", kernels)
    with pytest.raises(BadInput, match="There are: tiny, toyix"):
        find_image("zzz", kernels)
    with pytest.raises(BadInput, match="No kernel image came"):
        find_image("tiny", kernels / "missing")


def test_a_kernel_that_was_not_built_says_how(kernels: Path) -> None:
    with pytest.raises(ImageError, match=r"build\.py toyix"):
        open_image("toyix", kernels)


@pytest.mark.parametrize("text", ["title = 3", "title.en = 'only'", "= broken", "\x00"])
def test_a_damaged_description_is_an_error(kernels: Path, text: str) -> None:
    (kernels / "tiny" / "image.toml").write_text(text)
    with pytest.raises(ImageError, match=r"image\.toml"):
        list_images(kernels)


def test_the_folder_of_the_checkout_is_found() -> None:
    assert kernels_folder().name == "kernels"


def test_source_lines_count_from_one(tmp_path: Path) -> None:
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs" / "read_write.c").write_text("first\nsecond\n")
    sources = SourceFolder(tmp_path)
    assert sources.line("fs/read_write.c", 2) == "second"
    assert sources.line("fs/read_write.c", 0) is None
    assert sources.line("fs/read_write.c", 3) is None
    assert sources.lines("fs/missing.c") is None
    assert sources.lines("fs") is None
    assert SourceFolder(tmp_path / "missing").lines("a.c") is None


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret", "fs/../../secret", "..\\secret", "C:secret", "a\0b"])
def test_names_that_lead_out_of_the_sources_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "sources" / "fs").mkdir(parents=True)
    with pytest.raises(BadInput):
        SourceFolder(tmp_path / "sources").lines(name)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_out_of_the_sources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match="link"):
        SourceFolder(tmp_path / "sources").lines("link")
