"""What a release is made from: a history that may be read, the merchant's policy, and a word on its texts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from riskgraph import auditing, bootstrap
from riskgraph.core.errors import Invalid
from riskgraph.eval import worlds
from riskgraph.ports import Progress
from riskgraph.sandbox import (
    Chunking,
    Policy,
    Rejected,
    ReleaseRequest,
    refused_names_on_record,
    search_values,
)
from riskgraph.sandbox.on_ray import cluster, run_on_ray
from riskgraph.settings import Settings


@dataclass(frozen=True)
class Source:
    """A history, what its orders may give, and in which texts a special category was found."""

    world: worlds.World
    policy: Policy
    rejected: tuple[Rejected, ...]


def training_policy(settings: Settings) -> Policy:
    """The law's table with what ``[training]`` of the configured merchant.toml makes stricter.

    Raises:
        Invalid: If that is looser than the law's, or names what there is not; the field is named.
    """
    if settings.merchant is None:
        return Policy.default()
    own = bootstrap.load_profile(settings).get("training")
    return Policy.default().tightened({} if own is None else own)


def open_source(
    world: Path, *, until: date, k: int, seed: int, settings: Settings, progress: Progress
) -> Source:
    """Open a world for a release; one that is refused for the name of a column is on record.

    Raises:
        SensitiveField: If the name of a column asks for special-category data.
        UnknownField: If a column is not part of a world.
    """
    policy, signer = training_policy(settings), bootstrap.open_signer(settings)
    # The provenance is not known before the world is open.
    asked = ReleaseRequest(until, seed, "merchant", time.time(), bootstrap.code_version(), k)
    with refused_names_on_record(asked, signer, auditing.log_path(settings), policy):
        opened = worlds.World.open(world)
    progress("search texts", 0, 1)
    rejected = search_values(worlds.texts(opened))
    progress("search texts", 1, 1)
    return Source(opened, policy, rejected)


@contextmanager
def chunking(ray: str | None, scratch: Path | None) -> Iterator[Chunking]:
    """How a large release is cut up, and who works on it: this process, or a Ray cluster.

    Args:
        ray: Address of a cluster, or ``local`` for one that is started here; None for this process.
        scratch: Folder for the chunks; every worker must see it.

    Raises:
        Invalid: If chunks for other machines would lie in this machine's folder of temporary files.
        ExtraMissing: If Ray is asked for and not installed.
    """
    if ray is None:
        yield Chunking(scratch=scratch)
        return
    if ray != "local" and scratch is None:
        raise Invalid("a Ray cluster needs a folder that all its machines see", field="scratch")
    with cluster(None if ray == "local" else ray):
        yield Chunking(run=run_on_ray, scratch=scratch)


@contextmanager
def history_folder(world: worlds.World, how: Chunking | None) -> Iterator[Path | None]:
    """A folder for the wide columns of a history that is released in chunks; None for a smaller one."""
    how = how or Chunking()
    if worlds.row_counts(world)["orders"] <= how.above:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="riskgraph-history-", dir=how.scratch) as folder:
        yield Path(folder)
