"""A running kernel with a kprobe manager."""

from collections.abc import Callable

import pytest

from kprobesim.image import KernelImage, open_image
from tests.kprobes.running import Running

IMAGES: dict[str, KernelImage] = {}


def image(name: str) -> KernelImage:
    if name not in IMAGES:
        IMAGES[name] = open_image(name)
    return IMAGES[name]


@pytest.fixture
def tiny() -> Running:
    return Running(image("tiny"))


@pytest.fixture
def toyix() -> Running:
    return Running(image("toyix"))


@pytest.fixture(scope="session")
def boot_toyix() -> Callable[..., Running]:
    return lambda **options: Running(image("toyix"), **options)
