"""Rooms that load their names on demand: they have all of them, say the same to type checkers, and no others."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

ROOMS = ("kprobesim.machine", "kprobesim.kprobes", "kprobesim.tracing", "kprobesim.lab")


@pytest.mark.parametrize("room", ROOMS)
def test_what_type_checkers_are_told_is_what_is_loaded(room: str) -> None:
    """Plain imports under TYPE_CHECKING, the table beside them, and ``__all__``."""
    module = import_module(room)
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    choice = next(node for node in tree.body if isinstance(node, ast.If))
    told = {node.module: [name.name for name in node.names] for node in choice.body if isinstance(node, ast.ImportFrom)}
    call = next(node for node in ast.walk(choice.orelse[0]) if isinstance(node, ast.Call))
    assert ast.literal_eval(call.args[1]) == told
    assert sorted(name for names in told.values() for name in names) == sorted(module.__all__)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_all_its_names_and_no_others(room: str) -> None:
    module = import_module(room)
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"module '{room}' has no attribute 'no_such_name'"):
        _ = module.no_such_name
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'"):
        exec(f"from {room} import no_such_name")
