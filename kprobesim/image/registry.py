"""The kernel images that ship: in an installed wheel below ``kprobesim/_data``, in a checkout below ``kernels/``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kprobesim.errors import BadInput, ImageError
from kprobesim.image.elf import KernelImage

__all__ = ["ImageInfo", "find_image", "kernels_folder", "list_images", "open_image"]

DESCRIPTION = "image.toml"
NOT_DEFAULTS = ("title", "summary", "build", "variants")


@dataclass(frozen=True)
class ImageInfo:
    """An image that ships, as its ``image.toml`` describes it.

    ``title`` and ``summary`` go by language, ``en`` and ``zh``; ``defaults`` are the other keys (``cpus``, ``probe``,
    ``program``, ``command_line``), ``build`` is how it was made. ``folder`` holds the image and its sources;
    ``variants`` are further images of the same sources, built in another configuration, by name.
    """

    name: str
    folder: Path
    path: Path
    variants: Mapping[str, Path]
    title: Mapping[str, str]
    summary: Mapping[str, str]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_built(self) -> bool:
        """False in a checkout before the kernel was built."""
        return self.path.is_file()


def kernels_folder() -> Path:
    """The folder that holds one folder for each image; it may be missing."""
    from importlib.resources import files

    package = Path(str(files("kprobesim")))
    shipped = package / "_data" / "kernels"
    return shipped if shipped.is_dir() else package.parent / "kernels"


def list_images(folder: Path | None = None) -> list[ImageInfo]:
    """All images that ship, by name.

    Args:
        folder: instead of :func:`kernels_folder`.

    Raises:
        ImageError: an ``image.toml`` is damaged.
    """
    root = folder or kernels_folder()
    if not root.is_dir():
        return []
    return [_read(path.parent) for path in sorted(root.glob(f"*/{DESCRIPTION}"))]


def find_image(name: str, folder: Path | None = None) -> ImageInfo:
    """The image of a name.

    Args:
        name: the name of its folder, for example ``toyix``.
        folder: instead of :func:`kernels_folder`.

    Raises:
        BadInput: there is none.
        ImageError: an ``image.toml`` is damaged.
    """
    known = {info.name: info for info in list_images(folder)}
    if name in known:
        return known[name]
    import difflib

    near = difflib.get_close_matches(name, known, 3, 0.4)
    if near:
        hint = f"Did you mean {' or '.join(near)}?"
    elif known:
        hint = f"There are: {', '.join(known)}."
    else:
        hint = "No kernel image came with this installation."
    raise BadInput(f"There is no kernel image named {name!r}.", hint=hint)


def open_image(name_or_path: str | Path, folder: Path | None = None, *, variant: str = "") -> KernelImage:
    """Open an image.

    Args:
        name_or_path: the name of one that ships, or a path: anything with a slash, or that ends in ``.elf``.
        folder: instead of :func:`kernels_folder`.
        variant: which configuration, where the image ships in several; one that does not exist means the usual one.

    Raises:
        BadInput: no image has this name.
        ImageError: it is not a kernel image, or was not built yet.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or "\\" in text or text.endswith(".elf"):
        return KernelImage.open(Path(name_or_path))
    info = find_image(text, folder)
    if not info.is_built:
        raise ImageError(f"The kernel {info.name} was not built yet.", hint=f"Run: python kernels/build.py {info.name}")
    path = info.variants.get(variant, info.path)
    return KernelImage.open(path, name=info.name)


def _read(folder: Path) -> ImageInfo:
    import tomllib

    path = folder / DESCRIPTION
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be read: {error}.") from None
    for key in ("title", "summary"):
        words = table.get(key)
        if not isinstance(words, dict) or not all(isinstance(words.get(language), str) for language in ("en", "zh")):
            raise ImageError(f"{path} has no {key}.en and {key}.zh.")
    build, variants = (table.get(key, {}) for key in ("build", "variants"))
    return ImageInfo(
        name=folder.name,
        folder=folder,
        path=folder / f"{folder.name}.elf",
        variants={variant: folder / f"{folder.name}-{variant}.elf" for variant in variants},
        title=MappingProxyType(table["title"]),
        summary=MappingProxyType(table["summary"]),
        defaults=MappingProxyType({key: value for key, value in table.items() if key not in NOT_DEFAULTS}),
        build=MappingProxyType(build if isinstance(build, dict) else {}),
    )
