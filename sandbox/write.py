"""From raw orders to a release on disk: intake, units, groups, tables, drawn rows, certificate.

A release is logged before it is put in its place, so that none lies there unlogged. A kill before the
log entry leaves neither; one while the entry is written leaves a torn line and no release; one after it
leaves an entry whose release was never handed over, and the next run adds an entry of its own. Each of
them can leave a folder beside the release with a dot before its name, which is never read.

A merchant's records are written into the ledger before the log entry, and the ledger is held from intake
until the release is in its place: two releases cannot take the same record. Where a run ends in between,
its folder is taken away and its records are free again, and that is on record (see ``ledger``).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Conflict, Invalid, RiskgraphError, UnknownField
from riskgraph.core.table import OrderTable
from riskgraph.sandbox.audit import AUDIT, append_audit, check_chained, next_entry, sealed_line
from riskgraph.sandbox.by_chunks import count_chunks, group_chunks
from riskgraph.sandbox.cells import UsedRows, count_cells
from riskgraph.sandbox.choice import choose, window
from riskgraph.sandbox.chunks import Chunking, Survey, spill, survey, watched
from riskgraph.sandbox.count import PersonCount
from riskgraph.sandbox.draw import ReleasedRows, draw_class, join
from riskgraph.sandbox.files import ROWS, file_sha256, write_rows, write_tables
from riskgraph.sandbox.frame import build_frame
from riskgraph.sandbox.intake import Intake, Rejected, choose_rows, rejected_names
from riskgraph.sandbox.ledger import ALREADY, Digests, Ledger
from riskgraph.sandbox.manifest import (
    Facts,
    Order,
    audit_of_refusal,
    audit_of_release,
    certificate,
    manifest_of,
    stamp,
    strata_of,
)
from riskgraph.sandbox.pairs import pair_ends
from riskgraph.sandbox.partition import MIN_GROUPS, Grouped, Persons, Shortage, orders_cap, too_few
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.rake import rake
from riskgraph.sandbox.release import MANIFEST, SIGNATURE, Release, check_certificate
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.swap import swap
from riskgraph.sandbox.tables import Tables, build_tables, group_rows, tables_of
from riskgraph.sandbox.units import Units, count_units, describe, find_units, new_units_per_day

if TYPE_CHECKING:
    from riskgraph.ports import Progress, Signer

Tell = Callable[[str], None]
_STEPS = ("units", "partition", "count", "tables", "cells", "draw", "swap", "rake", "write")


@dataclass
class _Watch:
    """Seconds per step, the caller's progress bar, and what is known so far."""

    progress: Progress | None
    tell: Tell | None = None
    rejected: tuple[Rejected, ...] = ()
    facts: Facts | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name, _STEPS.index(name), len(_STEPS))
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    def elapsed(self) -> float:
        return time.perf_counter() - self.began

    def timings(self, rows: int) -> dict[str, float]:
        """Seconds by step and the rows in groups; ``partition_s`` includes intake and unit count."""
        s = self.seconds
        inner = ("r1_r3", "r4")
        out = {f"{n}_s": s[n] for n in (*_STEPS[2:5], *inner, *_STEPS[5:])}
        out |= {"partition_s": s["units"] + s["partition"], "total_s": self.elapsed()}
        return {name: round(value, 3) for name, value in out.items()} | {"rows": rows}


def _generator(request: ReleaseRequest, signer: Signer) -> tuple[np.random.Generator, str]:
    """The source of all noise, and a commitment to the seed.

    Whoever guesses the seed can take the noise away, so a merchant's seed is keyed with the signing
    key (Ed25519 signatures are deterministic). Simulated worlds must give the same release anywhere.
    """
    keyed = signer.sign(b"riskgraph.sandbox.seed/1:" + str(request.seed).encode())
    commitment = hashlib.sha256(keyed).hexdigest()
    if request.provenance == "simulated":
        return np.random.default_rng(request.seed), commitment
    return np.random.default_rng(int.from_bytes(hashlib.sha512(keyed).digest())), commitment


@dataclass(frozen=True)
class _Books:
    """Audit log and ledger of the installation, where they are kept; simulated records have no ledger."""

    signer: Signer
    log: Path | None
    ledger: Ledger | None

    def entry(self, record: Mapping[str, Any]) -> AbstractContextManager[bytes]:
        """The record's line; with a log, its place there is kept and it is appended at the end."""
        if self.log is None:
            return nullcontext(sealed_line(record, self.signer))
        return next_entry(self.log, record, self.signer)

    def refuse(self, record: Mapping[str, Any]) -> None:
        if self.log is not None:
            append_audit(self.log, record, self.signer)

    def barred(self, table: OrderTable) -> dict[str, NDArray[np.bool_]]:
        """Orders that must not enter, as a mask by reason."""
        return self.ledger.barred(table.order_id) if self.ledger else {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else takes records meanwhile; an unfinished release gives its own back at the end."""
        check_chained(self.log)
        with ExitStack() as stack:
            if self.ledger:
                stack.enter_context(self.ledger.locked())
                stack.enter_context(self.ledger.handing_over())
            yield


def _open_books(request: ReleaseRequest, signer: Signer, log: Path | None, ledger: Path | None) -> _Books:
    if ledger is None or request.provenance == "simulated":
        return _Books(signer, log, None)
    if log is None:
        raise Invalid("a ledger needs the audit log that vouches for it", field="audit_log")
    return _Books(signer, log, Ledger(ledger, log, signer, request.code, stamp(request.now)))


@dataclass(frozen=True)
class _Counted:
    """All that is known of a release when the map of rows to groups is gone.

    Attributes:
        tables: What rows are drawn from.
        held: Its certificate. destroyed: When the map was overwritten.
        entered: Keyed digests of the records that went in, sorted; None where no ledger is kept.
    """

    tables: Tables
    held: dict[str, Any]
    destroyed: str
    entered: Digests | None


def _group(
    table: OrderTable,
    order: Order,
    rng: np.random.Generator,
    watch: _Watch,
    barred: Mapping[str, NDArray[np.bool_]],
) -> Grouped:
    """Intake, units and groups."""
    with watch.step("units"):
        k, policy = order.request.k, order.policy
        intake, units = choose(table, until=order.request.until, k=k, policy=policy, barred=barred)
        mine = _announce(table, intake, units, watch)
    with watch.step("partition"), _pace_of(table, mine):
        _check_enough(watch, k)
        grouped = group_rows(build_frame(table, intake, units, k), k, rng)
    _add_dropped(watch, grouped.split.dropped)
    return grouped


def _announce(table: OrderTable, found: Intake | Survey, units: Units, watch: _Watch) -> _Mine:
    """Who is counted, told and kept before anything is partitioned."""
    rows = np.concatenate([found.rows, found.over_cap])
    mine = _Mine(rows, Units(units.unit[rows], units.component[rows]))
    counts = count_units(mine.units, table.label[rows])
    watch.facts = Facts(
        counts, len(table), len(rows), found.dropped, found.clipped, found.withheld, watch.rejected
    )
    if watch.tell is not None:
        watch.tell(describe(counts, found.dropped))
    return mine


@dataclass(frozen=True)
class _Mine:
    """Rows that count, also those over the cap, and who stands behind them."""

    rows: NDArray[np.intp]
    units: Units


def _check_enough(watch: _Watch, k: int) -> None:
    for count in watch.facts.counts if watch.facts else ():
        if count.units < MIN_GROUPS * k:
            missing = MIN_GROUPS * k - count.units
            raise too_few(count.label, count.units, count.components, 0, k, missing)


def _add_dropped(watch: _Watch, dropped: Mapping[str, int]) -> None:
    if watch.facts:
        for reason, lost in dropped.items():
            watch.facts.dropped[reason] = watch.facts.dropped.get(reason, 0) + lost


@contextmanager
def _pace_of(table: OrderTable, mine: _Mine) -> Iterator[None]:
    """A refusal for want of units says how much longer the window would have to be."""
    try:
        yield
    except Shortage as short:
        of_class = table.label[mine.rows] == short.label
        placed_at = table.placed_at[mine.rows][of_class]
        raise short.at_pace(new_units_per_day(mine.units.unit[of_class], placed_at)) from None


def _draw(tables: Tables, rng: np.random.Generator, watch: _Watch) -> ReleasedRows:
    with watch.step("draw"):
        drawn = [draw_class(tables, label, rng) for label in (0, 1)]
    with watch.step("swap"):
        drawn[1] = swap(tables, drawn[1], 1, rng)
    with watch.step("rake"):
        parts = []
        for label, part in enumerate(drawn):
            parts.append(ReleasedRows(**{**vars(part.rows), "weight": rake(tables, part, label)}))
        return join((parts[0], parts[1]), rng)


def _tables(
    table: OrderTable, order: Order, rng: np.random.Generator, watch: _Watch, books: _Books, how: Chunking
) -> _Counted:
    """All that is released but the rows, which are drawn from it."""
    if len(table) > how.above:
        return _tables_by_chunks(table, order, rng, watch, books, how)
    grouped = _group(table, order, rng, watch, books.barred(table))
    with watch.step("count"):
        persons = PersonCount(table, grouped.frame.source)
        by_group = persons.groups(grouped.row_group)
    with watch.step("tables"):
        tables, seconds = build_tables(grouped, order.request.k, rng)
    watch.seconds |= seconds
    with watch.step("cells"):
        frame = grouped.frame
        used = UsedRows(persons.person, frame.label, frame.stratum, frame.values, frame.states)
        by_cell = count_cells(used, tables, pair_ends())
    independent = by_group.as_dict() | by_cell.as_dict()
    ids = table.order_id[frame.source]
    return _sealed(tables, grouped.items, grouped.split.group, independent, ids, order, watch, books)


def _sealed(
    tables: Tables, items: Persons, group: NDArray[np.int32], independent: dict[str, Any],
    ids: NDArray[np.object_], order: Order, watch: _Watch, books: _Books,
) -> _Counted:  # fmt: skip
    """Tables whose two counts agree; the map of items to groups is destroyed."""
    held = certificate(order.request.k, items, group, tables.groups, independent)
    check_certificate(held)
    # Sorted, since rows of one group lie together.
    entered = np.sort(books.ledger.digests(ids)) if books.ledger else None
    # with map and raw rows together a release would only be pseudonymous (PIPL Art. 73)
    group.fill(-1)
    return _Counted(tables, held, stamp(order.request.now + watch.elapsed()), entered)


def _tables_by_chunks(
    table: OrderTable, order: Order, rng: np.random.Generator, watch: _Watch, books: _Books, how: Chunking
) -> _Counted:
    """As :func:`_tables`, with the rows on disk and one chunk of them at a time in memory."""
    k, policy = order.request.k, order.policy
    run = watched(how.run, watch.progress) if watch.progress else how.run
    with watch.step("units"):
        units = find_units(table)
        picked = choose_rows(
            table, until=order.request.until, policy=policy, barred=books.barred(table), unit=units.unit,
            cap=orders_cap(k),
        )  # fmt: skip
        seen = survey(table, picked, policy)
        mine = _announce(table, seen, units, watch)
    with tempfile.TemporaryDirectory(prefix="riskgraph-chunks-", dir=how.scratch) as folder:
        with watch.step("partition"), _pace_of(table, mine):
            _check_enough(watch, k)
            chunks = spill(table, seen, units, policy, k, Path(folder), how.rows)
            # who and when is still asked of the history, but no value: they go now
            table = replace(
                table, components=table.components[:, :0].copy(), states=table.states[:, :0].copy()
            )
            told = group_chunks(chunks, replace(how, run=run), k, rng)
        _add_dropped(watch, chunks.dropped)
        with watch.step("count"):
            persons = PersonCount(table, chunks.source)
            by_group = persons.groups(np.repeat(told.split.group, told.items.rows))
        with watch.step("tables"):
            tables, seconds = tables_of(told, k, rng)
        watch.seconds |= seconds
        with watch.step("cells"):
            by_cell = count_chunks(chunks, persons.person, tables, run)
    independent = by_group.as_dict() | by_cell.as_dict()
    ids = table.order_id[chunks.source]
    return _sealed(tables, told.items, told.split.group, independent, ids, order, watch, books)


def _write(
    folder: Path, out: Path, made: _Counted, rows: ReleasedRows, order: Order, watch: _Watch, books: _Books
) -> None:
    """Fill a folder with a release that will lie in ``out``, and log it."""
    facts, held = watch.facts, made.held
    if facts is None:
        raise RuntimeError("a release is written after its intake")
    with watch.step("write"):
        sizes = {**write_tables(folder, made.tables), ROWS: write_rows(folder, rows)}
        files = {name: {"rows": n, "sha256": file_sha256(folder / name)} for name, n in sizes.items()}
    release_id = "rel-" + hashlib.sha256(canonical_json(files)).hexdigest()[:16]
    output = {"release_id": release_id, "groups": held["groups"], "fraud_groups": held["fraud_groups"]}
    output["files"] = [{"name": name, **entry} for name, entry in files.items()]
    composition = None
    if books.ledger and made.entered is not None:
        composition = books.ledger.reserve(release_id, made.entered, folder, out)
    known = {"output": output, "composition": composition, "mapping_destroyed_at": made.destroyed}
    extra = {
        "release_id": release_id,
        "mapping_destroyed_at": made.destroyed,
        "strata": strata_of(made.tables.groups),
        "fraud_clusters": int(made.tables.cluster.max()) + 1,
        "key_id": books.signer.key_id,
        "timings": watch.timings(int(made.tables.groups.rows.sum())),
    }
    with books.entry(audit_of_release(order, facts, held, made.tables, known)) as line:
        (folder / AUDIT).write_bytes(line)
        files[AUDIT] = {"rows": 1, "sha256": file_sha256(folder / AUDIT)}
        data = canonical_json(manifest_of(order, facts, held, files, extra))
        (folder / MANIFEST).write_bytes(data)
        (folder / SIGNATURE).write_bytes(books.signer.sign(data))


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Conflict(f"{out} is not an empty folder; a release is never overwritten", field="out")


@contextmanager
def _refusal_on_record(order: Order, watch: _Watch, books: _Books) -> Iterator[None]:
    """A release that was asked for and not made is on record too, with what was known by then."""
    try:
        yield
    except RiskgraphError as error:
        already = watch.facts.dropped.get(ALREADY) if watch.facts else 0
        if already:
            # Else the advice would be a longer window, when it is a later one that helps.
            error.message += f"; {already} orders were left out, for earlier releases hold them"
            error.args = (error.message,)
        books.refuse(audit_of_refusal(order, watch.facts, error.code, error.message, watch.rejected))
        raise


@contextmanager
def refused_names_on_record(
    request: ReleaseRequest, signer: Signer, audit_log: Path, policy: Policy
) -> Iterator[None]:
    """A history that is refused for the name of a field, before it can be read, is on record too."""
    try:
        yield
    except UnknownField as error:
        order = Order(request, _generator(request, signer)[1], policy)
        record = audit_of_refusal(order, None, error.code, error.message, rejected_names(error))
        append_audit(audit_log, record, signer)
        raise


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place at the end: a killed run leaves no half release."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield folder
        folder.chmod(0o755)
        folder.replace(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _make(
    held: list[OrderTable],
    order: Order,
    rng: np.random.Generator,
    watch: _Watch,
    books: _Books,
    how: Chunking,
) -> tuple[_Counted, ReleasedRows]:
    """Tables, and the rows that are drawn from them alone.

    The history is taken out of ``held``: where nobody else holds it, it goes before rows are drawn.
    """
    # sums must not depend on how many cores a machine has, nor wait for threads that share one
    with _refusal_on_record(order, watch, books), threadpool_limits(limits=1, user_api="blas"):
        counted = _tables(window(held.pop(), order.request.until), order, rng, watch, books, how)
        return counted, _draw(counted.tables, rng, watch)


def write_release(
    table: OrderTable, out: Path, request: ReleaseRequest, signer: Signer, *,
    progress: Progress | None = None, audit_log: Path | None = None, ledger: Path | None = None,
    policy: Policy | None = None, rejected: tuple[Rejected, ...] = (), tell: Tell | None = None,
    chunking: Chunking | None = None,
) -> Release:  # fmt: skip
    """Make a k-anonymous release of a history of orders, and open it.

    Args:
        table: All orders of the window, also unlabelled ones: they help to tell persons apart.
        out: Folder to make; it may exist when it is empty. Nothing is left there on failure.
        request: What is asked for.
        signer: Signs manifest and audit records.
        progress: Told of each step.
        audit_log: A log to append the release, or its refusal, to.
        ledger: Folder of the ledger of used records: those of earlier releases, and erased ones, do not
            enter. Simulated records are exempt. It needs ``audit_log``.
        policy: What an order may give for training; by default what the law asks for.
        rejected: What was found in the texts of the history (``search_values``), for the record.
        tell: Told before anything is partitioned who is counted, and what was left out.
        chunking: How the rows of a large history are cut up; by default above 250,000 orders.

    Raises:
        Invalid: If a value of the table is wrong; the field is named.
        Conflict: If ``out`` holds anything, or another release holds the ledger.
        CheckFailed: If a class has too few persons (``Shortage``), a count does not certify the groups,
            or log and ledger do not agree.
    """
    _check_free(out)
    rng, commitment = _generator(request, signer)
    order, watch = Order(request, commitment, policy or Policy.default()), _Watch(progress, tell, rejected)
    books, held = _open_books(request, signer, audit_log, ledger), [table]
    del table
    with books.held():
        made = _make(held, order, rng, watch, books, chunking or Chunking())
        with _new_folder(out) as folder:
            _write(folder, out, *made, order, watch, books)
    del made
    return Release.open(out, signer)


def release_rows(
    table: OrderTable, request: ReleaseRequest, policy: Policy, rng: np.random.Generator
) -> ReleasedRows:
    """The rows that a release of a history would hold; nothing is written, signed or put on record.

    For measuring what a release costs, inside the sandbox.

    Raises:
        Invalid: If a value of the table is wrong; the field is named.
        CheckFailed: If a class has too few persons.
    """
    watch = _Watch(None)
    with threadpool_limits(limits=1, user_api="blas"):
        grouped = _group(window(table, request.until), Order(request, "", policy), rng, watch, {})
        tables, _ = build_tables(grouped, request.k, rng)
        del grouped
        return _draw(tables, rng, watch)
