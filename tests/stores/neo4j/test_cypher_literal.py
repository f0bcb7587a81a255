"""What the driver runs is written out in the source: no statement is put together from parts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import riskgraph

ROOT = Path(riskgraph.__file__).parent
# The calls that take a statement: of the driver, and of the connection's own.
RUNNERS = {"run", "fetch", "execute_query", "Query"}


def is_literal(node: ast.expr | None) -> bool:
    """A string written out, or a table of such."""
    if isinstance(node, ast.Dict):
        return all(is_literal(value) for value in node.values)
    if isinstance(node, ast.Tuple | ast.List):
        return all(is_literal(value) for value in node.elts)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def constants(tree: ast.Module) -> dict[str, bool]:
    """Names at the top of a module, each with whether all that is ever put there is literal."""
    found: dict[str, bool] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = found.get(target.id, True) and is_literal(node.value)
    return found


def imported(tree: ast.Module, root: Path) -> dict[str, bool]:
    """Constants that come from other modules of the package."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("riskgraph."):
            path = root.parent / (str(node.module).replace(".", "/") + ".py")
            if path.exists():
                theirs = constants(ast.parse(path.read_text("utf-8")))
                found |= {
                    alias.asname or alias.name: theirs[alias.name]
                    for alias in node.names
                    if alias.name in theirs
                }
    return found


def passed_on(tree: ast.Module) -> dict[str, list[ast.Call]]:
    """Functions of a module that hand a parameter of theirs to the driver, with all calls of them."""
    takers = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.args.args
        and any(takes_first(call, names_of(node)) for call in ast.walk(node))
    }
    calls: dict[str, list[ast.Call]] = {name: [] for name in takers}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in takers:
            calls[call.func.id].append(call)
    return calls


def names_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Parameters that are declared as literal strings."""
    return {
        argument.arg
        for argument in function.args.args
        if argument.annotation is not None and ast.unparse(argument.annotation) == "LiteralString"
    }


def takes_first(node: ast.AST, names: set[str]) -> bool:
    return (
        is_run(node) and isinstance(node.args[0], ast.Name) and node.args[0].id in names  # type: ignore[attr-defined]
    )


def is_run(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in RUNNERS
        and bool(node.args)
    )


def wrong_statements(tree: ast.Module, root: Path = ROOT) -> list[str]:
    """Statements that are not literal, as ``line: source``."""
    known = constants(tree) | imported(tree, root)
    handed = passed_on(tree)
    declared = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for name in names_of(node)
    }
    loops = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.For)
        and isinstance(node.target, ast.Name)
        and literal(node.iter, known, set())
    }
    # A statement with its timeout: what is in it is looked at where it is made.
    queries = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and is_run(node.value) and ast.unparse(node.value).count(".Query(")
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    statements = [node.args[0] for node in ast.walk(tree) if is_run(node)]
    statements += [call.args[0] for calls in handed.values() for call in calls]
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in statements
        if not literal(node, known, declared | loops | queries)
    ]


def literal(node: ast.expr, known: dict[str, bool], bound: set[str]) -> bool:
    if isinstance(node, ast.Subscript):
        return literal(node.value, known, bound)
    if isinstance(node, ast.Tuple):
        return all(literal(part, known, bound) for part in node.elts)
    if isinstance(node, ast.Name):
        return known.get(node.id, False) or node.id in bound
    return is_literal(node)


def speaks_to_neo4j(path: Path) -> bool:
    return "neo4j" in path.read_text("utf-8")


MODULES = [path for path in sorted(ROOT.rglob("*.py")) if speaks_to_neo4j(path)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_statement_is_literal(path):
    tree = ast.parse(path.read_text("utf-8"))
    # Subprocesses have a ``run`` too.
    assert [found for found in wrong_statements(tree) if "subprocess" not in found] == []


@pytest.mark.parametrize(
    "source",
    [
        'async def f(tx, a): await tx.run(f"MATCH (n:{a}) RETURN n")',
        'async def f(tx, a): await tx.run("MATCH (n:" + a + ")")',
        'async def f(tx, a): await tx.run("MATCH (n:%s)" % a)',
        'async def f(tx, a): await tx.run("MATCH (n:{})".format(a))',
        "async def f(tx, a): await tx.run(a)",
        'Q = "MATCH " + "(n)" + name\nasync def f(tx): await tx.run(Q)',
        'Q = {"a": f"MATCH (n:{x})"}\nasync def f(tx): await tx.run(Q["a"])',
        'async def g(tx, q: LiteralString): await tx.run(q)\nasync def f(tx, a): await g(f"MATCH {a}")',
        "from neo4j import Query\nasync def f(c, a): await c.fetch(a)",
    ],
)
def test_a_statement_that_is_put_together_is_found(source):
    assert wrong_statements(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        'async def f(tx): await tx.run("MATCH (n) RETURN n", a=1)',
        'Q = "MATCH (n)"\nasync def f(tx): await tx.run(Q)',
        'Q = {"a": "MATCH (n)"}\nasync def f(tx, k): await tx.run(Q[k])',
    ],
)
def test_a_literal_statement_passes(source):
    assert wrong_statements(ast.parse(source)) == []
