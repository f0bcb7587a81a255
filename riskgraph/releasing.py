"""What a release is made from: a history that may be read, the merchant's policy, and a word on its texts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as clock_time
from pathlib import Path

from riskgraph import auditing, bootstrap
from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid
from riskgraph.core.table import OrderTable
from riskgraph.eval import worlds
from riskgraph.ports import Progress, Signer
from riskgraph.sandbox import (
    Chunking,
    Policy,
    Rejected,
    ReleaseRequest,
    refusal_on_record,
    search_values,
)
from riskgraph.sandbox.intake import microseconds
from riskgraph.sandbox.on_ray import runner
from riskgraph.sandbox.scratch import raw_folder, sweep
from riskgraph.settings import Settings


@dataclass(frozen=True)
class Source:
    """A history, what its orders may give, in which texts a special category was found, and the audit log."""

    world: worlds.World
    policy: Policy
    found: tuple[Rejected, ...]
    asked: ReleaseRequest
    books: tuple[Signer, Path]


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
    """Open a world for a release; one that is refused is on record, and so is a wrong ``[training]`` table.

    Raises:
        SensitiveField: If the name of a column asks for special-category data.
        UnknownField: If a column is not part of a world.
        Invalid: If the world's manifest, a column or the ``[training]`` table is wrong.
    """
    provenance = worlds.read_manifest(world)["provenance"]
    asked = ReleaseRequest(until, seed, provenance, time.time(), bootstrap.code_version(), k)
    books = bootstrap.open_signer(settings), auditing.log_path(settings)
    with refusal_on_record(asked, *books, Policy.default()):
        policy = training_policy(settings)
    with refusal_on_record(asked, *books, policy):
        opened = worlds.World.open(world)
    progress("search texts", 0, 1)
    found = search_values(worlds.texts(opened))
    progress("search texts", 1, 1)
    return Source(opened, policy, found, asked, books)


def table_of(source: Source, door: Door, progress: Progress, folder: Path | None = None) -> OrderTable:
    """All orders of a source as arrays; where one cannot be read (it states no law), that is on record.

    Args:
        source: The history.
        door: Keyed hashing of entities.
        progress: Told of each part.
        folder: Where the wide columns lie; by default they are held in memory.

    Raises:
        Invalid: If a value is wrong; the field is named.
    """
    known_at = datetime.combine(source.asked.until, clock_time(), UTC).timestamp()
    with refusal_on_record(source.asked, *source.books, source.policy):
        worlds.replay(source.world, door, progress)
        return source.world.table(known_at, door, progress, folder)


@contextmanager
def chunking(ray: str | None, scratch: Path | None) -> Iterator[Chunking]:
    """How a large release is cut up, and who works on it: this process, or a Ray cluster.

    Args:
        ray: Address of a cluster, or ``local`` for one that is started here when there is work; None for this
            process.
        scratch: Folder for the chunks; every worker must see it.

    Raises:
        Invalid: If chunks for other machines would lie in this machine's folder of temporary files.
        ExtraMissing: If Ray is asked for and not installed.
        Unavailable: If no cluster answers at the address.
    """
    if ray is None:
        yield Chunking(scratch=scratch)
        return
    if ray != "local" and scratch is None:
        raise Invalid(
            "a Ray cluster needs a folder that all its machines see; name it with --scratch", field="scratch"
        )
    with runner(None if ray == "local" else ray, scratch) as run:
        yield Chunking(run=run, scratch=scratch)


@contextmanager
def history_folder(source: Source, how: Chunking | None) -> Iterator[Path | None]:
    """A folder for the wide columns of a history that is released in chunks; None for a smaller one.

    What counts is the orders before ``until``, as in ``write_release``.
    """
    how = how or Chunking()
    with refusal_on_record(source.asked, *source.books, source.policy):
        large = _orders_before(source.world, source.asked.until) > how.above
    if large:
        with raw_folder(how.scratch) as folder:
            yield folder
    else:
        sweep(how.scratch)
        yield None


def _orders_before(world: worlds.World, until: date) -> int:
    cut = microseconds(until)
    placed = (part["placed_at"].cast("int64").to_numpy() for part in world.parts(["placed_at"]))
    return sum(int((times < cut).sum()) for times in placed)
