"""The command line in this process, through the same ``main`` that the console script calls."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from riskgraph.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: bytes
    err: str

    def json(self) -> Any:
        """All of stdout as the one JSON value that it must be."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that starts with ``error:``; progress bars may stand before it."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert self.err.rstrip().endswith(lines[0]), self.err
        return lines[0]


def riskgraph(*arguments: object, home: Path, environment: dict[str, str] | None = None) -> Ran:
    """Run ``riskgraph ARGUMENTS`` with its data in ``home``."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    settings = {"RISKGRAPH_HOME": str(home), "COLUMNS": "200", **(environment or {})}
    argv: Sequence[str] = ["riskgraph", *map(str, arguments)]
    with (
        mock.patch.dict(os.environ, settings),
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return Ran(code, out.buffer.getvalue(), err.buffer.getvalue().decode())
