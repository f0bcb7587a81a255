"""NDJSON files: pieces that can be read apart, and the bodies in them with the place of each."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from riskgraph.core.errors import Invalid, RiskgraphError

Body = dict[str, Any]
PIECE_BYTES = 1 << 20
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Piece:
    """Whole lines of one file.

    Attributes:
        start, size: Where they lie in the file, in bytes.
        first: Number of the first line, from 1.
    """

    path: Path
    start: int
    size: int
    first: int

    def bodies(self) -> Iterator[tuple[str, Body]]:
        """``(file:line, body)`` of every line that is not blank.

        Raises:
            Invalid: If a line is no JSON object.
        """
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            lines = stream.read(self.size).split(b"\n")
        for number, line in enumerate(lines, start=self.first):
            if line and not line.isspace():
                where = f"{self.path.name}:{number}"
                yield where, _decoded(line, where)


def pieces(folder: Path, stem: str, size: int = PIECE_BYTES) -> Iterator[Piece]:
    """All ``stem*.ndjson`` of a folder, by name, in pieces of about ``size`` bytes."""
    for path in files(folder, stem):
        with path.open("rb") as stream:
            start, first = 0, 1
            while block := stream.read(size):
                block += stream.readline()
                yield Piece(path, start, len(block), first)
                start += len(block)
                first += block.count(b"\n")


def files(folder: Path, stem: str) -> list[Path]:
    return sorted(folder.glob(f"{stem}*.ndjson"))


@contextmanager
def no_cycles() -> Iterator[None]:
    """Bodies hold no reference cycles, and looking for some takes a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _decoded(line: bytes, where: str) -> Body:
    try:
        body = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = _decoded_leniently(line, where)
    if not isinstance(body, dict):
        raise Invalid(f"{where} is no JSON object", field=where)
    return body


def _decoded_leniently(line: bytes, where: str) -> Any:
    # NaN and huge numbers are no JSON, but the error should name the field that has them.
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{where} is no JSON in UTF-8: {error}", field=where) from error


def checked(where: str, parse: Callable[[Mapping[str, Any]], _Made], body: Body) -> _Made:
    """What ``parse`` makes of a body.

    Raises:
        RiskgraphError: As ``parse`` does, with file and line before its message.
    """
    try:
        return parse(body)
    except RiskgraphError as error:
        raise located(error, where) from None


def located(error: RiskgraphError, where: str) -> RiskgraphError:
    """The same error with its place before its message, once."""
    if not error.message.startswith(f"{where}: "):
        error.message = f"{where}: {error.message}"
        error.args = (error.message,)
    return error


def encoded(body: Mapping[str, Any]) -> bytes:
    """One body as JSON."""
    return msgspec.json.encode(body)
