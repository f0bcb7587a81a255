"""What the driver runs is written out in the source: no statement is put together from parts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import riskgraph

ROOT = Path(riskgraph.__file__).parent
# The calls that take a statement: of the driver, and of the connection's own.
RUNNERS = {"run", "fetch", "rows", "execute_query", "ask", "until_nothing", "Query"}
# Statements that were read from files of the package, whose text nothing is put into.
READ_FROM_FILES = {("queries.py", "query.text")}
# These take no statement; the last takes settings, and one of the queries that were read from files.
NO_RUNNERS = ("asyncio.run", "subprocess.run", "graph_database.ask")


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
        if isinstance(node, ast.AugAssign):
            found |= {name: False for name in targets_of(node)}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found |= {name: found.get(name, True) and is_literal(node.value) for name in targets_of(node)}
    return found


def targets_of(node: ast.AST) -> set[str]:
    """Names that a statement assigns to."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


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


Function = ast.FunctionDef | ast.AsyncFunctionDef


def declared(function: Function) -> list[str]:
    """Parameters that are declared as literal strings, in their order."""
    return [
        argument.arg
        for argument in [*function.args.args, *function.args.kwonlyargs]
        if argument.annotation is not None and ast.unparse(argument.annotation) == "LiteralString"
    ]


def takers(tree: ast.Module) -> dict[str, tuple[int, str]]:
    """Functions of a module that take a literal string, with its place and name."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, Function) and (names := declared(node)):
            arguments = [argument.arg for argument in node.args.args if argument.arg != "self"]
            found[node.name] = (arguments.index(names[0]) if names[0] in arguments else -1, names[0])
    return found


def statement_of(node: ast.AST, handed: dict[str, tuple[int, str]]) -> ast.expr | None:
    """What a call gives the driver, or a function that hands it on, as the statement."""
    if not isinstance(node, ast.Call):
        return None
    arguments, place, name = node.args, -1, ""
    if isinstance(node.func, ast.Attribute) and ast.unparse(node.func) in NO_RUNNERS:
        return None
    if is_query(node) or (isinstance(node.func, ast.Attribute) and node.func.attr in RUNNERS):
        place, name = 0, "query"
    elif isinstance(node.func, ast.Name) and node.func.id in handed:
        place, name = handed[node.func.id]
    elif isinstance(node.func, ast.Name) and node.func.id == "partial" and arguments:
        inner = arguments[0]
        if isinstance(inner, ast.Name) and inner.id in handed:
            (place, name), arguments = handed[inner.id], arguments[1:]
    named = next((k.value for k in node.keywords if name and k.arg == name), None)
    return named if named is not None else arguments[place] if 0 <= place < len(arguments) else None


def is_query(node: ast.AST) -> bool:
    """A statement with its timeout: what is in it is looked at where it is made."""
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Query"


def wrong_statements(tree: ast.Module, root: Path = ROOT) -> list[str]:
    """Statements that are not literal, as ``line: source``."""
    known, handed = constants(tree) | imported(tree, root), takers(tree)
    wrong: list[str] = []

    def look(node: ast.AST, bound: dict[str, bool]) -> None:
        if isinstance(node, Function):
            bound = bound | shadows(node) | dict.fromkeys(declared(node), True)
        if isinstance(node, ast.Lambda):
            bound = bound | {argument.arg: False for argument in node.args.args}
        if isinstance(node, ast.For):
            over = node.iter
            if isinstance(over, ast.Call) and ast.unparse(over.func) == "enumerate":
                over = over.args[0]
            names = [name.id for name in ast.walk(node.target) if isinstance(name, ast.Name)]
            bound = bound | dict.fromkeys(names, literal(over, bound))
        if isinstance(node, ast.Assign) and is_query(node.value):
            bound |= dict.fromkeys(targets_of(node), True)
        statement = statement_of(node, handed)
        if statement is not None and not literal(statement, bound):
            wrong.append(f"{statement.lineno}: {ast.unparse(statement)}")
        for child in ast.iter_child_nodes(node):
            look(child, bound)

    look(tree, known)
    return wrong


def shadows(function: Function) -> dict[str, bool]:
    """Names that a function makes its own: none of them is the constant of that name."""
    own = {argument.arg for argument in [*function.args.args, *function.args.kwonlyargs]}
    assigned = [targets_of(node) for node in ast.walk(function) if isinstance(node, ast.stmt)]
    return dict.fromkeys(own.union(*assigned), False)


def literal(node: ast.expr, known: dict[str, bool]) -> bool:
    if isinstance(node, ast.Subscript):
        return literal(node.value, known)
    if isinstance(node, ast.Tuple):
        return all(literal(part, known) for part in node.elts)
    if isinstance(node, ast.Name):
        return known.get(node.id, False)
    return is_literal(node) or is_query(node)


def speaks_to_neo4j(path: Path) -> bool:
    return "neo4j" in path.read_text("utf-8")


MODULES = [path for path in sorted(ROOT.rglob("*.py")) if speaks_to_neo4j(path)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_statement_is_literal(path):
    tree = ast.parse(path.read_text("utf-8"))
    allowed = [text for name, text in READ_FROM_FILES if name == path.name]
    assert [found for found in wrong_statements(tree) if found.partition(": ")[2] not in allowed] == []


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
        'async def g(tx, q: LiteralString): await tx.run(q)\nasync def f(tx, a): await g(tx, f"MATCH {a}")',
        "from neo4j import Query\nasync def f(c, a): await c.fetch(a)",
        'async def f(c, a): await c.rows(f"MATCH {a}")',
        'async def f(tx, a): await tx.run(query=f"MATCH {a}")',
        'Q = "MATCH (n)"\nasync def f(tx, a):\n    Q = f"MATCH {a}"\n    await tx.run(Q)',
        'Q = "MATCH (n)"\nQ += name\nasync def f(tx): await tx.run(Q)',
        'def f(graph, a): graph.ask(f"MATCH {a}")',
        'def f(graph, a): graph.until_nothing("MATCH " + a)',
        'from neo4j import Query\ndef f(session, a): session.run(Query(f"MATCH {a}"))',
        'from neo4j import Query\ndef f(session, a):\n    q = Query(f"MATCH {a}")\n    session.run(q)',
        "async def g(tx, q: LiteralString): await tx.run(q)\nasync def f(tx, q: str): await tx.run(q)",
        'async def g(tx, q: LiteralString): await tx.run(q)\ndef f(a): return partial(g, q=f"MATCH {a}")',
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
        'from neo4j import Query\nQ = "MATCH (n)"\ndef f(session): session.run(Query(Q, timeout=1))',
    ],
)
def test_a_literal_statement_passes(source):
    assert wrong_statements(ast.parse(source)) == []
