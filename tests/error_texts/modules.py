"""The modules of the program as syntax trees: who is defined where, and who is called from where."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import kprobesim

__all__ = [
    "ROOT",
    "Function",
    "Module",
    "Modules",
    "Scope",
    "base_names",
    "called",
    "constant_of",
    "default_of",
    "index_of",
    "is_of_another",
    "is_parameter",
]

ROOT: Final = Path(kprobesim.__file__).parent
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """One file.

    Attributes:
        path, tree: what it is.
        around: the function that each node is in.
        inside: the nodes of each function, without those of functions in it.
        owners: the class that each node is in.
    """

    path: Path
    tree: ast.Module
    around: dict[ast.AST, Function | None] = field(default_factory=dict)
    inside: dict[Function | None, list[ast.AST]] = field(default_factory=dict)
    owners: dict[ast.AST, ast.ClassDef] = field(default_factory=dict)

    def means(self, name: str, other: Module) -> bool:
        """Whether a function's name is here that of the one in another module: its own, or imported."""
        dotted = ".".join(other.path.relative_to(ROOT.parent).with_suffix("").parts)
        return self is other or any(
            isinstance(node, ast.ImportFrom)
            and f"{dotted}.".startswith(f"{node.module}.")
            and any(each.name == name for each in node.names)
            for node in self.around
        )


class Scope(NamedTuple):
    """Where a name is looked up."""

    module: Module
    function: Function | None


class Modules:
    """All modules of the program.

    Attributes:
        files: every one.
        functions, calls: by name.
        classes: every one.
    """

    def __init__(self) -> None:
        self.files: list[Module] = []
        self.functions: dict[str, list[tuple[Module, Function]]] = {}
        self.classes: list[tuple[Module, ast.ClassDef]] = []
        self.calls: dict[str, list[tuple[Module, ast.Call]]] = {}
        for path in sorted(ROOT.rglob("*.py")):
            self._read(path)

    def _read(self, path: Path) -> None:
        module = Module(path, ast.parse(path.read_text(encoding="utf-8")))
        self.files.append(module)
        waiting: list[tuple[ast.AST, Function | None]] = [(module.tree, None)]
        while waiting:
            node, function = waiting.pop()
            module.around[node] = function
            module.inside.setdefault(function, []).append(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.functions.setdefault(node.name, []).append((module, node))
                function = node
            elif isinstance(node, ast.ClassDef):
                self.classes.append((module, node))
                module.owners.update((part, node) for part in ast.walk(node) if module.owners.get(part) is None)
            elif isinstance(node, ast.Call):
                self.calls.setdefault(called(node), []).append((module, node))
            waiting += [(child, function) for child in ast.iter_child_nodes(node)]


def called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
    return ""


def base_names(node: ast.ClassDef) -> list[str]:
    return [base.id for base in node.bases if isinstance(base, ast.Name)]


def is_of_another(module: Module, call: ast.Call, owner: ast.ClassDef) -> bool:
    """A method of the same name of another class."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="self")):
            return module.owners.get(call) is not owner
    return False


def is_parameter(name: str, scope: Scope) -> bool:
    if scope.function is None:
        return False
    arguments = scope.function.args
    return any(each.arg == name for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))


def default_of(function: Function, name: str) -> ast.expr | None:
    arguments = function.args
    places = [*arguments.posonlyargs, *arguments.args]
    for each, default in zip(reversed(places), reversed(arguments.defaults), strict=False):
        if each.arg == name:
            return default
    for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if each.arg == name:
            return value
    return None


def constant_of(name: str, module: Module) -> ast.expr | None:
    for node in module.tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)]) if target == name:
                return node.value
            case ast.AnnAssign(target=ast.Name(id=target)) if target == name:
                return node.value
    return None


def index_of(name: str, elements: list[ast.expr]) -> int | None:
    return next((at for at, each in enumerate(elements) if isinstance(each, ast.Name) and each.id == name), None)
