"""Named arrays as one file of a model, without pickle: written in one step, digest checked at load."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import ModelUnavailable
from riskgraph.models.card import Card
from riskgraph.models.compiled import check_file, settle, write_card

Arrays = dict[str, NDArray[Any]]


def write_arrays(
    folder: Path | str, name: str, arrays: Mapping[str, NDArray[Any]], card: Card, layout: Mapping[str, Any]
) -> Card:
    """Write ``MODEL/{name, card.json}``, each in one step, the card last; returns the card as stored."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".npz", delete=False) as file:
        np.savez(file, allow_pickle=False, **arrays)
    # Of the bytes as written, not of the arrays: what is checked at load is the file.
    digest = hashlib.sha256(Path(file.name).read_bytes()).hexdigest()
    settle(Path(file.name), folder / name)
    sealed = card.sealed({name: digest}, layout)
    write_card(folder, sealed)
    return sealed


def read_arrays(path: Path, card: Card) -> Arrays:
    """All arrays of a file that the card vouches for.

    Raises:
        ModelUnavailable: If the file is missing, truncated, altered, or holds anything but plain arrays.
    """
    # The digest first: numpy must not parse a file that its card does not vouch for.
    check_file(path, card)
    try:
        # Written plain, so a part that is packed is not ours and could be of any size once unpacked.
        with zipfile.ZipFile(path) as parts:
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist()):
                raise ValueError("its parts are compressed")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, AttributeError, MemoryError, zipfile.BadZipFile) as wrong:
        raise ModelUnavailable(f"{path}: not a file of plain arrays ({wrong})") from wrong
