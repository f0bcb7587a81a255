"""What analysts run: one Cypher file each under ``cypher/``, with what it answers and its parameters on top.

Statements are the package's own texts; what a person gives goes in as a parameter and never into the text.
They run in reading transactions with a time limit on the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, NotFound

if TYPE_CHECKING:
    from riskgraph.stores.neo4j.connect import Connection

TIMEOUT_S = 20.0
LONGEST = 10_000
_PARAMETER = re.compile(r"// @param (\w+) (text|whole|number|card)(?: = (\S+))?: (.+)")
_LITERAL = re.compile(r"(\w+)(=|<|>)([^:,]+)(?::([\d.]+))?")
_ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query; ``default`` is None where it must be given."""

    name: str
    kind: str
    default: str | None
    about: str

    def value(self, text: str) -> Any:
        """What a person typed, as Neo4j takes it.

        Raises:
            Invalid: If it does not fit; the parameter is named.
        """
        try:
            return _READERS[self.kind](text)
        except (ValueError, KeyError) as wrong:
            told = f"--param {self.name} takes a {self.kind} ({self.about}), not {text!r:.60}"
            raise Invalid(told, field=self.name) from wrong


@dataclass(frozen=True, slots=True)
class AnalystQuery:
    """A query that ships.

    Attributes:
        about: What it answers.
        text: The statement.
    """

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    text: str

    @classmethod
    def read(cls, name: str, text: str) -> AnalystQuery:
        """Take a file apart: comment lines on top, the statement below."""
        head = [line for line in text.splitlines() if line.startswith("//")]
        found = [_PARAMETER.fullmatch(line) for line in head]
        about = " ".join(line[3:] for line, match in zip(head, found, strict=True) if match is None)
        return cls(name, about, tuple(Parameter(*match.groups()) for match in found if match), text)

    def parameters_of(self, given: Mapping[str, str]) -> dict[str, Any]:
        """All parameters, typed.

        Raises:
            Invalid: If one is missing, unknown or wrong; it is named.
        """
        known = {parameter.name for parameter in self.parameters}
        for name in given.keys() - known:
            raise Invalid(f"{self.name} has no parameter {name!r:.40}, only {', '.join(known)}", field=name)
        out = {}
        for parameter in self.parameters:
            text = given.get(parameter.name, parameter.default)
            if text is None:
                told = f"{self.name} needs --param {parameter.name}=...: {parameter.about}"
                raise Invalid(told, field=parameter.name)
            out[parameter.name] = parameter.value(text)
        return out


def _whole(text: str) -> int:
    number = int(text)
    if not 0 < number <= LONGEST:
        raise ValueError(text)
    return number


def _card(text: str) -> list[dict[str, Any]]:
    """``B110=yes:2,B085=absent:1`` as literals with their points."""
    out = []
    for part in text.split(","):
        match = _LITERAL.fullmatch(part.strip())
        if match is None:
            raise ValueError(part)
        node, op, value, points = match.groups()
        absent = op == "=" and value == _ABSENT
        out.append(
            {
                "node": catalog()[node].id,
                "op": _ABSENT if absent else op,
                "value": value,
                "number": float(value) if op in "<>" else None,
                "points": float(points or 1),
            }
        )
    return out


_READERS: dict[str, Callable[[str], Any]] = {"text": str, "whole": _whole, "number": float, "card": _card}


@lru_cache(maxsize=1)
def queries() -> Mapping[str, AnalystQuery]:
    """All queries by name."""
    folder = resources.files("riskgraph.stores.neo4j").joinpath("cypher")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    named = {
        f.name.removesuffix(".cypher"): f.read_text("utf-8") for f in files if f.name.endswith(".cypher")
    }
    return {name: AnalystQuery.read(name, text) for name, text in named.items()}


def find_query(name: str) -> AnalystQuery:
    """A query by its name.

    Raises:
        NotFound: If there is none of that name.
    """
    if name not in queries():
        raise NotFound(f"no query {name!r:.40}; there are {', '.join(queries())}")
    return queries()[name]


async def run_query(
    neo4j: Connection, query: AnalystQuery, given: Mapping[str, str], timeout_s: float = TIMEOUT_S
) -> list[dict[str, Any]]:
    """Rows by column, in a reading transaction that the server ends after ``timeout_s``.

    Raises:
        Invalid: If a parameter is missing or wrong.
    """
    asked = query.parameters_of(given)
    return await neo4j.rows(query.text, asked, timeout_s)
