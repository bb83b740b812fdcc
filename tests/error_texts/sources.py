"""The sentences of all errors, as the source has them: with ``{0}``, ``{1}`` where values are filled in.

A value that is itself one of a few literal texts is filled in here; a value that is a sentence of somebody else's is
marked. What is followed: conditional expressions, names with all that is assigned to them, parameters with all that
callers give, functions with all that they return, tables of the module.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from tests.error_texts.modules import (
    ROOT,
    Modules,
    Scope,
    base_names,
    called,
    constant_of,
    default_of,
    index_of,
    is_of_another,
    is_parameter,
)
from tests.error_texts.templates import Found, Hole, Template, as_found, has_words, is_literal, is_phrase, is_wrapper

__all__ = ["Sources"]

_DEEPEST: Final = 7
_MOST_FILLED: Final = 4
"""A hole is filled in with that many literal texts; with more of them it stays one, and they are entries."""
_SENTENCES: Final = ("message", "hint", "expected")
_LINUX_TABLES: Final = frozenset({"PROBE_ERRORS", "FILTER_ERRORS", "HIST_ERRORS"})
_LINUX_MESSAGES: Final = frozenset({"LoadError", "Rejected", "ProbeCommandError", "FilterError"})
"""Errors whose message is Linux's; their hint is ours."""
_FINISHED_BY_THE_CLASS: Final = frozenset({"HistError"})
"""Errors that add the full stop to their message."""
_SAID_OTHERWISE: Final = {
    "course/lint.py": ("yield",),
    "course/replay.py": ("yield",),
    "course/progress.py": ("return",),
    "course/session.py": ("notice",),
    "kprobes/optinsn.py": ("CannotOptimize",),
    "tui/keymap.py": ("complaints", "append"),
}
"""By file: how it says what is no error."""
_CHANGES_NOTHING: Final = frozenset({"strip", "rstrip", "lstrip", "replace"})


class Sources:
    """All modules of the program."""

    def __init__(self) -> None:
        self._modules = Modules()
        self.fragments: dict[Template, str] = {}
        self._stopgaps: set[str] = set()
        self.opaque: dict[str, str] = {}
        self.errors = self._error_classes()

    def _error_classes(self) -> dict[str, str]:
        """Every subclass of `KprobesimError`, with its base."""
        found = {"KprobesimError": ""}
        more = True
        while more:
            more = False
            for _, node in self._modules.classes:
                base = next((base for base in base_names(node) if base in found), None)
                if base is not None and node.name not in found:
                    found[node.name], more = base, True
        return found

    # What is given to an error

    def sentences(self) -> Iterator[Found]:
        """Everything that an error can say."""
        for name in self.errors:
            for module, call in self._modules.calls.get(name, []):
                scope = Scope(module, module.around[call])
                for word, value in self._given(name, call):
                    if word == "message" and name in (*_LINUX_MESSAGES, *_FINISHED_BY_THE_CLASS):
                        continue
                    yield from self._collect(value, scope)
            yield from self._own_words(name)
        yield from self._said_otherwise()
        done: set[Template] = set()
        while set(self.fragments) - done:
            for template in sorted(set(self.fragments) - done, key=str):
                done.add(template)
                if has_words(template):
                    yield as_found(template, self.fragments[template])

    def _said_otherwise(self) -> Iterator[Found]:
        """What is shown like an error without being raised as one."""
        for module in self._modules.files:
            how = _SAID_OTHERWISE.get(module.path.relative_to(ROOT).as_posix(), ())
            for node, function in module.around.items():
                value: ast.expr | None = None
                match node:
                    case ast.Yield(value=ast.expr()) if "yield" in how:
                        value = node.value
                    case ast.Return(value=ast.Tuple(elts=[*_, ast.expr() as last])) if "return" in how:
                        value = last
                    case ast.Assign(targets=[ast.Attribute(attr=name)]) if name in how:
                        value = node.value
                    case ast.keyword(arg=str(name), value=ast.Tuple(elts=[first])) if name in how:
                        value = first
                    case ast.Call(args=[ast.expr() as first, *_]) if called(node) in how:
                        value = first
                if value is not None:
                    yield from self._collect(value, Scope(module, function))

    def _given(self, name: str, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
        names = self._parameters(name)
        for word, value in itertools.chain(
            zip(names, call.args, strict=False), ((word.arg, word.value) for word in call.keywords)
        ):
            if word in _SENTENCES:
                yield word, value

    def _parameters(self, name: str) -> list[str]:
        while name:
            for _, node in self._modules.classes:
                if node.name == name and _is_error(node, self.errors):
                    for part in node.body:
                        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                            return [each.arg for each in part.args.args[1:]]
            name = self.errors[name]
        return ["message"]

    def _own_words(self, name: str) -> Iterator[Found]:
        """What the class itself puts around a sentence, in ``super().__init__(...)`` and in ``__str__``."""
        for module, node in self._modules.classes:
            if node.name != name or not _is_error(node, self.errors):
                continue
            for part in ast.walk(node):
                scope = Scope(module, module.around[part])
                if isinstance(part, ast.Call) and ast.unparse(part.func) == "super().__init__":
                    for word, value in self._given(self.errors[name], part):
                        if not (word == "message" and name in _LINUX_MESSAGES):
                            yield from self._collect(value, scope)
                if isinstance(part, ast.JoinedStr) and scope.function is not None and scope.function.name == "__str__":
                    yield from self._collect(part, scope)

    def _collect(self, value: ast.expr, scope: Scope) -> Iterator[Found]:
        place = f"{scope.module.path.relative_to(ROOT.parent)}:{value.lineno}"
        if isinstance(value, ast.Name) and is_parameter(value.id, scope) and _own_constructor(scope):
            return  # its callers are seen by themselves
        templates = self._resolve(value, scope, 0)
        if templates is None:
            if not _is_relayed(value):
                self.opaque[place] = ast.unparse(value)
            return
        for template in templates:
            if has_words(template) or is_wrapper(template):
                yield as_found(template, place)

    # What an expression can be

    def _resolve(self, value: ast.expr, scope: Scope, depth: int) -> list[Template] | None:
        """All the texts that an expression may be; None if that cannot be known."""
        if depth > _DEEPEST:
            return None
        match value:
            case ast.Constant(value=str(text)):
                return [(text,)]
            case ast.JoinedStr():
                return self._joined(value, scope, depth)
            case ast.BinOp(op=ast.Add()):
                return self._product([value.left, value.right], scope, depth)
            case ast.IfExp():
                return self._either([value.body, value.orelse], scope, depth)
            case ast.BoolOp(op=ast.Or()):
                if isinstance(value.values[-1], ast.Constant) and len(str(value.values[-1].value)) > 1:
                    self._stopgaps.add(str(value.values[-1].value))
                return self._either(value.values, scope, depth)
            case ast.BoolOp(op=ast.And()):
                last = self._resolve(value.values[-1], scope, depth)
                return None if last is None else [("",), *last]
            case ast.NamedExpr():
                return self._resolve(value.value, scope, depth)
            case ast.Name():
                return self._name(value.id, scope, depth)
            case ast.Subscript(value=ast.Name(id=table)):
                return self._table(table, scope, depth, None)
            case ast.Call():
                return self._call(value, scope, depth)
        return None

    def _either(self, values: Iterable[ast.expr], scope: Scope, depth: int) -> list[Template] | None:
        known = [self._resolve(value, scope, depth + 1) for value in values]
        if all(each is None for each in known):
            return None
        return [
            template for each in known for template in ([(Hole(False),)] if each is None else each)
        ]  # fmt: skip

    def _product(self, values: Iterable[ast.expr], scope: Scope, depth: int) -> list[Template] | None:
        parts = []
        for value in values:
            known = self._resolve(value, scope, depth + 1) or [(Hole(False),)]
            if len(known) > _MOST_FILLED:
                place = f"{scope.module.path.relative_to(ROOT.parent)}:{value.lineno}"
                self.fragments.update((each, place) for each in known if is_phrase(each))
                known = [(Hole(True),)]
            parts.append(known)
        return [tuple(itertools.chain(*choice)) for choice in itertools.product(*parts)]

    def _joined(self, value: ast.JoinedStr, scope: Scope, depth: int) -> list[Template]:
        plain = "".join(str(part.value) for part in value.values if isinstance(part, ast.Constant))
        wordless = not any(letter.isalpha() for letter in plain) and ":" not in plain
        parts: list[list[Template]] = []
        for part in value.values:
            if isinstance(part, ast.Constant):
                parts.append([(str(part.value),)])
            elif isinstance(part, ast.FormattedValue):
                parts.append(self._filled(part, scope, depth, wordless))
        return [tuple(itertools.chain(*choice)) for choice in itertools.product(*parts)]

    def _filled(self, part: ast.FormattedValue, scope: Scope, depth: int, wordless: bool) -> list[Template]:
        if part.conversion != -1 or part.format_spec is not None:
            return [(Hole(False),)]
        if _is_relayed(part.value):
            return [(Hole(True),)]
        templates = self._resolve(part.value, scope, depth + 1)
        known = [template for template in templates or () if template != (Hole(False),)]
        phrases = [each for each in known if is_phrase(each) or (is_literal(each) and each[0] in self._stopgaps)]
        if not phrases:
            return [(Hole(False),)]
        is_closed = len(known) == len(templates or ())
        if is_closed and (wordless or (len(known) <= _MOST_FILLED and all(map(is_literal, known)))):
            return known
        place = f"{scope.module.path.relative_to(ROOT.parent)}:{part.lineno}"
        for template in phrases:
            self.fragments.setdefault(template, place)
        return [(Hole(True),)]

    def _name(self, name: str, scope: Scope, depth: int) -> list[Template] | None:
        if scope.function is not None:
            assigned = self._assigned(name, scope, depth)
            if is_parameter(name, scope):
                assigned += self._arguments(name, scope, depth)
            elif not assigned:
                outer = scope.module.around[scope.function]
                if outer is not None:
                    return self._name(name, Scope(scope.module, outer), depth)
            known = [each for each in assigned if each is not None]
            if assigned:
                if not known:
                    return None
                return list(dict.fromkeys(t for each in assigned for t in ([(Hole(False),)] if each is None else each)))
        constant = constant_of(name, scope.module)
        return None if constant is None or depth else self._resolve(constant, Scope(scope.module, None), depth + 1)

    def _assigned(self, name: str, scope: Scope, depth: int) -> list[list[Template] | None]:
        assert scope.function is not None
        found: list[list[Template] | None] = []
        for node in scope.module.inside.get(scope.function, ()):
            match node:
                case ast.Assign(targets=[ast.Name(id=target)]) if target == name:
                    found.append(self._resolve(node.value, scope, depth + 1))
                case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr()) if target == name:
                    assert node.value is not None
                    found.append(self._resolve(node.value, scope, depth + 1))
                case ast.NamedExpr(target=ast.Name(id=target)) if target == name:
                    found.append(self._resolve(node.value, scope, depth + 1))
                case ast.AugAssign(target=ast.Name(id=target)) if target == name:
                    found.append(None)
                case ast.Assign(targets=[ast.Tuple(elts=elements)]):
                    found += self._unpacked(name, elements, node.value, scope, depth)
                case ast.For(target=ast.Tuple(elts=elements)):
                    found += self._looped(name, elements, node.iter, scope, depth)
        return found

    def _unpacked(
        self, name: str, elements: list[ast.expr], value: ast.expr, scope: Scope, depth: int
    ) -> list[list[Template] | None]:
        at = index_of(name, elements)
        if at is None:
            return []
        if isinstance(value, ast.Tuple):
            return [self._resolve(value.elts[at], scope, depth + 1)]
        if isinstance(value, ast.IfExp):
            return [
                self._resolve(each.elts[at], scope, depth + 1)
                for each in (value.body, value.orelse)
                if isinstance(each, ast.Tuple)
            ]
        if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name):
            table = constant_of(value.value.id, scope.module)
            if isinstance(table, ast.Dict):
                rows = [row for row in table.values if isinstance(row, ast.Tuple)]
                return [self._resolve(row.elts[at], scope, depth + 1) for row in rows] or [None]
        return [None]

    def _looped(
        self, name: str, elements: list[ast.expr], rows: ast.expr, scope: Scope, depth: int
    ) -> list[list[Template] | None]:
        at = index_of(name, elements)
        if at is None:
            return []
        if isinstance(rows, ast.Name) and scope.function is not None:
            for node in scope.module.inside.get(scope.function, ()):
                if isinstance(node, ast.Assign) and any(
                    isinstance(target, ast.Name) and target.id == rows.id for target in node.targets
                ):
                    rows = node.value
                    break
            else:
                rows = constant_of(rows.id, scope.module) or rows
        if isinstance(rows, ast.Call) and rows.args and isinstance(rows.args[0], ast.Tuple | ast.List):
            rows = rows.args[0]
        if isinstance(rows, ast.Tuple | ast.List):
            each = [row for row in rows.elts if isinstance(row, ast.Tuple) and at < len(row.elts)]
            return [self._resolve(row.elts[at], scope, depth + 1) for row in each] or [None]
        return [None]

    def _arguments(self, name: str, scope: Scope, depth: int) -> list[list[Template] | None]:
        """What all callers of the function give."""
        function = scope.function
        assert function is not None
        found: list[list[Template] | None] = []
        default = default_of(function, name)
        if default is not None:
            found.append(self._resolve(default, scope, depth + 1))
        positions = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        is_method = function in scope.module.owners and positions[:1] in (["self"], ["cls"])
        if is_method:
            positions = positions[1:]
        called = function.name
        if function.name == "__init__":
            called = scope.module.owners[function].name
        shadowed = len(self._modules.functions.get(called, ())) > 1
        for module, call in self._modules.calls.get(called, []):
            if is_method and is_of_another(module, call, scope.module.owners[function]):
                continue
            if shadowed and not is_method and not module.means(called, scope.module):
                continue
            if shadowed and is_method and module.path.parent != scope.module.path.parent:
                continue
            value = next((word.value for word in call.keywords if word.arg == name), None)
            if value is None and name in positions and positions.index(name) < len(call.args):
                value = call.args[positions.index(name)]
            if value is not None and not _is_relayed(value):
                found.append(self._resolve(value, Scope(module, module.around[call]), depth + 1))
            elif value is not None:
                found.append([(Hole(True),)])
        return found

    def _table(self, name: str, scope: Scope, depth: int, default: ast.expr | None) -> list[Template] | None:
        table = constant_of(name, scope.module)
        found = None if default is None else self._resolve(default, scope, depth + 1)
        if name in _LINUX_TABLES:
            return found
        if isinstance(table, ast.Call) and table.args:
            table = table.args[0]
        if isinstance(table, ast.Dict):
            rows = self._either(table.values, Scope(scope.module, None), depth)
            return found if rows is None else [*(found or []), *rows]
        return found

    def _call(self, call: ast.Call, scope: Scope, depth: int) -> list[Template] | None:
        if isinstance(call.func, ast.Attribute):
            if call.func.attr in _CHANGES_NOTHING:
                return self._resolve(call.func.value, scope, depth + 1)
            if call.func.attr == "get" and call.args:
                default = call.args[1] if len(call.args) > 1 else None
                if isinstance(call.func.value, ast.Name):
                    return self._table(call.func.value.id, scope, depth, default)
                if isinstance(call.func.value, ast.Dict):
                    values = [*call.func.value.values, *([default] if default is not None else [])]
                    return self._either(values, scope, depth)
        name = called(call)
        places = self._modules.functions.get(name, [])
        here = [place for place in places if place[0] is scope.module]
        if name in ("str", "repr", "join", "format", "min", "max") or not (here or len(places) == 1):
            return None
        found: list[Template] = []
        for module, function in here or places:
            inside = Scope(module, function)
            for node in module.inside.get(function, ()):
                if isinstance(node, ast.Return) and node.value is not None:
                    each = self._resolve(node.value, inside, depth + 1)
                    found += each or []
        return found or None


def _is_error(node: ast.ClassDef, errors: dict[str, str]) -> bool:
    return node.name == "KprobesimError" or any(base in errors for base in base_names(node))


def _own_constructor(scope: Scope) -> bool:
    return scope.function is not None and scope.function.name == "__init__"


def _is_relayed(value: ast.expr) -> bool:
    """Another error's own words: those are seen where that error is made."""
    match value:
        case ast.Attribute(attr="message" | "hint" | "problem" | "expected"):
            return True
        case ast.Name(id="error" | "fault" | "full"):
            return True
        case ast.Call(func=ast.Name(id="str"), args=[inside]):
            return _is_relayed(inside)
        case ast.Call(func=ast.Attribute(attr="__str__")):
            return True
    return False
