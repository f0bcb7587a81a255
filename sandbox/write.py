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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import CheckFailed, Conflict, Invalid, RiskgraphError, UnknownField
from riskgraph.core.table import OrderTable
from riskgraph.sandbox.audit import AUDIT, append_audit
from riskgraph.sandbox.books import Books, open_books
from riskgraph.sandbox.choice import window
from riskgraph.sandbox.chunks import Chunking
from riskgraph.sandbox.draw import ReleasedRows, draw_class, join
from riskgraph.sandbox.files import ROWS, file_sha256, write_rows, write_tables
from riskgraph.sandbox.intake import Rejected, rejected_names
from riskgraph.sandbox.ledger import ALREADY
from riskgraph.sandbox.manifest import (
    Order,
    audit_of_refusal,
    audit_of_release,
    manifest_of,
    strata_of,
)
from riskgraph.sandbox.partition import Shortage
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.rake import rake
from riskgraph.sandbox.release import MANIFEST, SIGNATURE, Release
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.swap import swap
from riskgraph.sandbox.tables import Tables, build_tables
from riskgraph.sandbox.tabulate import Counted, group, tabulate
from riskgraph.sandbox.watch import Tell, Watch

if TYPE_CHECKING:
    from riskgraph.ports import Progress, Signer


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


def _draw(tables: Tables, rng: np.random.Generator, watch: Watch) -> ReleasedRows:
    with watch.step("draw"):
        drawn = [draw_class(tables, label, rng) for label in (0, 1)]
    with watch.step("swap"):
        for label in (0, 1):  # one after the other, so that only one class is held twice
            drawn[label] = swap(tables, drawn[label], label, rng)
    with watch.step("rake"):
        parts = []
        for label, part in enumerate(drawn):
            parts.append(ReleasedRows(**{**vars(part.rows), "weight": rake(tables, part, label)}))
        return join((parts[0], parts[1]), rng)


def _write(
    folder: Path, out: Path, made: Counted, rows: ReleasedRows, order: Order, watch: Watch, books: Books
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
def _refusal_on_record(order: Order, watch: Watch, books: Books) -> Iterator[None]:
    """A release that was asked for and not made is on record too, with what was known by then."""
    try:
        yield
    except RiskgraphError as error:
        on_record = error.on_record if isinstance(error, Shortage) else error.message
        already = watch.facts.dropped.get(ALREADY) if watch.facts else 0
        if already:
            # Else the advice would be a longer window, when it is a later one that helps.
            error.message += f"; {already} orders were left out, for earlier releases hold them"
            error.args = (error.message,)
        books.refuse(audit_of_refusal(order, watch.facts, error.code, on_record, found=watch.found))
        raise


@contextmanager
def refusal_on_record(
    request: ReleaseRequest, signer: Signer, audit_log: Path, policy: Policy
) -> Iterator[None]:
    """A history that is refused before it is handed to ``write_release`` is on record too.

    But for names of fields, the record says where it was refused and not what was said of it: the words
    of such an error may quote a value.
    """
    try:
        yield
    except (Invalid, CheckFailed) as error:
        order = Order(request, _generator(request, signer)[1], policy)
        message = error.message if isinstance(error, UnknownField) else f"refused at {error.field or 'input'}"
        names = rejected_names(error)
        append_audit(audit_log, audit_of_refusal(order, None, error.code, message, rejected=names), signer)
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
    held: list[OrderTable], order: Order, rng: np.random.Generator, watch: Watch, books: Books,
    how: Chunking | None,
) -> tuple[Counted, ReleasedRows]:  # fmt: skip
    """Tables, and the rows that are drawn from them alone.

    The history is taken out of ``held``: where nobody else holds it, it goes before rows are drawn.
    """
    # sums must not depend on how many cores a machine has, nor wait for threads that share one
    with _refusal_on_record(order, watch, books), threadpool_limits(limits=1, user_api="blas"):
        counted = tabulate(held, order, rng, watch, books, how)
        return counted, _draw(counted.tables, rng, watch)


def write_release(
    table: OrderTable, out: Path, request: ReleaseRequest, signer: Signer, *,
    policy: Policy, progress: Progress | None = None, audit_log: Path | None = None,
    ledger: Path | None = None, found: tuple[Rejected, ...] = (), tell: Tell | None = None,
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
        policy: What an order may give for training; ``Policy.default()`` is what the law asks for.
        found: What was found in the texts of the history (``search_values``), for the record.
        tell: Told before anything is partitioned who is counted, and what was left out.
        chunking: How the rows of a large history are cut up; by default above 250,000 orders.

    Raises:
        Invalid: If a value of the table is wrong; the field is named.
        Conflict: If ``out`` holds anything, or another release holds the ledger.
        CheckFailed: If a class has too few persons (``Shortage``), a count does not certify the groups,
            or log and ledger do not agree.
    """
    _check_free(out)
    (rng, commitment), held = _generator(request, signer), [window(table, request.until)]
    del table
    how = chunking or Chunking()
    used = how if len(held[0]) > how.above else None
    order = Order(request, commitment, policy, used.sizes if used else None)
    watch = Watch(progress, tell, found)
    books = open_books(request, signer, audit_log, ledger)
    with books.held():
        made = _make(held, order, rng, watch, books, used)
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
    watch = Watch(None)
    with threadpool_limits(limits=1, user_api="blas"):
        grouped = group(window(table, request.until), Order(request, "", policy), rng, watch, {})
        tables, _ = build_tables(grouped, request.k, rng)
        del grouped
        return _draw(tables, rng, watch)
