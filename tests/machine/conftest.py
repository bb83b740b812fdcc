"""Both ways of counting instructions: the engine's own counter, and a hook on each."""

import pytest


@pytest.fixture(params=[False, True], ids=["own counter", "counting hook"])
def counting_hook(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)
