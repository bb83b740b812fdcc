"""A running kernel with a kprobe manager."""

from collections.abc import Callable

import pytest

from kprobesim.image import KernelImage, open_image
from tests.kprobes.running import Running

IMAGES: dict[tuple[str, str], KernelImage] = {}


def image(name: str, variant: str = "bare") -> KernelImage:
    if (name, variant) not in IMAGES:
        IMAGES[name, variant] = open_image(name, variant=variant)
    return IMAGES[name, variant]


@pytest.fixture
def tiny() -> Running:
    return Running(image("tiny"))


@pytest.fixture
def toyix() -> Running:
    return Running(image("toyix"))


@pytest.fixture(scope="session")
def boot_toyix() -> Callable[..., Running]:
    return lambda variant="bare", **options: Running(image("toyix", variant), **options)
