"""Where training stands after an epoch, in a file from which it can go on."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.models.compiled import settle

Arrays = dict[str, NDArray[Any]]
_ABOUT = "about"
_DIGEST = 64


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds the state after the last whole epoch, replaced in one step.

    It is the SHA-256 of what follows in hex, then arrays as numpy's ``npz`` without pickles: nothing in it is
    run when it is read.

    Attributes:
        path: The file.
        about: What the run was asked for, as JSON. A run goes on only where this is the same.
        saved: Called after each save.
    """

    path: Path
    about: Mapping[str, Any]
    saved: Callable[[], object] = lambda: None

    def of(self, **more: Any) -> Checkpoint:
        """The same file for a run of which more is known."""
        return replace(self, about={**self.about, **more})

    def save(self, arrays: Arrays) -> None:
        """Replace the file."""
        about = np.frombuffer(_text(self.about).encode(), dtype=np.uint8)
        body = io.BytesIO()
        stored: dict[str, Any] = {_ABOUT: about, **arrays}
        np.savez(body, **stored)
        digest = hashlib.sha256(body.getbuffer()).hexdigest().encode()
        self._replace(digest + body.getbuffer())

    def take(self, other: Path) -> None:
        """Replace the file by what another process has saved."""
        self._replace(other.read_bytes())

    def _replace(self, data: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=self.path.name, delete=False) as file:
            file.write(data)
        settle(Path(file.name), self.path)
        self.saved()

    def load(self) -> Arrays | None:
        """The arrays as they were saved, None if there is no file.

        Raises:
            CheckFailed: If the file is damaged.
            Invalid: If it was made for another run; what differs is named.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        body = data[_DIGEST:]
        if hashlib.sha256(body).hexdigest().encode() != data[:_DIGEST]:
            raise CheckFailed("the checkpoint is damaged; train without --resume", field="--resume")
        with np.load(io.BytesIO(body), allow_pickle=False) as stored:
            arrays = dict(stored)
        self._check(json.loads(arrays.pop(_ABOUT).tobytes()))
        return arrays

    def _check(self, found: Mapping[str, Any]) -> None:
        asked = json.loads(_text(self.about))
        for name in sorted({*asked, *found}):
            if asked.get(name) != found.get(name):
                raise Invalid(
                    f"the checkpoint is of another run: {name} was {_short(found.get(name))}, "
                    f"now it is {_short(asked.get(name))}; ask for the same, or train without --resume",
                    field="--resume",
                )


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, sort_keys=True)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
