"""Writing a world: parquet parts, oracle apart, manifest with a digest of every file; all or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Conflict
from riskgraph.eval.worlds.extras import parquet
from riskgraph.eval.worlds.schema import SCHEMA

Progress = Callable[[str, int, int], None]
ROWS_PER_FILE = 25_000


def quiet(step: str, done: int, total: int) -> None:
    """A progress callback that says nothing."""


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary sibling of ``out`` that takes its name when the block ends without an error.

    Only its owner may enter it: a shop's history holds raw addresses and phone numbers (GDPR Art.
    32(1); PIPL Art. 51).

    Raises:
        Conflict: If ``out`` exists and is not an empty folder.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Conflict(f"{out} exists and is not empty: choose another folder", field="out")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, since a rename is one step only within a file system.
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield work
        if out.exists():
            # Empty, as was checked; a rename does not replace a folder everywhere.
            out.rmdir()
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """Digest of one file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        # In blocks: a file of a world need not fit into memory.
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_table(table: Any, path: Path) -> None:
    """One parquet file, the same bytes for the same rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet().write_table(table, path, compression="zstd", row_group_size=ROWS_PER_FILE)


def spans(n: int, size: int = ROWS_PER_FILE) -> Iterator[tuple[int, int]]:
    """``(start, stop)`` of successive blocks of N rows; one empty block where there are none."""
    for start in range(0, max(1, n), size):
        yield start, min(n, start + size)


def write_parts(tables: Iterable[Any], folder: Path, stem: str) -> None:
    """Write each table as a file, ``stem-00000.parquet`` and so on; one at a time is in memory."""
    for part, table in enumerate(tables):
        write_table(table, folder / f"{stem}-{part:05d}.parquet")


def write_blocks(tables: Iterable[Any], path: Path) -> None:
    """Write tables of at most ``ROWS_PER_FILE`` rows into one file, each a row group of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = iter(tables)
    first = next(blocks)
    with parquet().ParquetWriter(path, first.schema, compression="zstd") as file:
        for table in chain((first,), blocks):
            file.write_table(table, row_group_size=ROWS_PER_FILE)


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write ``manifest.json`` over the observed and oracle files already in ``folder``.

    Args:
        folder: The world.
        facts: provenance, entities, counts and whatever else describes the world.
    """
    paths = sorted(p for part in ("observed", "oracle") for p in (folder / part).glob("*.parquet"))
    manifest = {
        "schema": SCHEMA,
        **facts,
        "catalog": {"version": catalog().version, "sha256": catalog().sha256},
        "files": {str(p.relative_to(folder).as_posix()): file_sha256(p) for p in paths},
    }
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
