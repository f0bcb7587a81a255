"""From raw orders to a release on disk: intake, units, groups, tables, drawn rows, certificate.

A release is logged before it is put in its place, so that none lies there unlogged. A kill before the
log entry leaves neither; one while the entry is written leaves a torn line and no release; one after it
leaves an entry whose release was never handed over, and the next run adds an entry of its own. Each of
them can leave a folder beside the release with a dot before its name, which is never read.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Conflict, RiskgraphError, UnknownField
from riskgraph.core.table import OrderTable
from riskgraph.sandbox.audit import AUDIT, append_audit, signed_line
from riskgraph.sandbox.count import independent_count
from riskgraph.sandbox.draw import ReleasedRows, draw_class, join
from riskgraph.sandbox.files import ROWS, file_sha256, write_rows, write_tables
from riskgraph.sandbox.frame import build_frame
from riskgraph.sandbox.intake import Rejected, admit, microseconds, rejected_names
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
from riskgraph.sandbox.partition import MIN_GROUPS, Grouped, Shortage, orders_cap, too_few
from riskgraph.sandbox.policy import Policy, objectors
from riskgraph.sandbox.rake import rake
from riskgraph.sandbox.release import MANIFEST, SIGNATURE, Release, check_certificate
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.tables import Tables, build_tables, group_rows
from riskgraph.sandbox.units import Units, count_units, describe, find_units, new_units_per_day

if TYPE_CHECKING:
    from riskgraph.ports import Progress, Signer

Tell = Callable[[str], None]
_STEPS = ("units", "partition", "count", "tables", "draw", "rake", "write")


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
        """Seconds by step; ``partition_s`` includes intake and unit count."""
        s = self.seconds
        out = {f"{n}_s": s[n] for n in ("count", "tables", "r1_r3", "r4", "draw", "rake", "write")}
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


def _group(table: OrderTable, order: Order, rng: np.random.Generator, watch: _Watch) -> Grouped:
    """Intake, units and groups."""
    with watch.step("units"):
        k, policy = order.request.k, order.policy
        units = find_units(table)
        intake = admit(table, until=order.request.until, policy=policy, unit=units.unit, cap=orders_cap(k))
        rows = np.concatenate([intake.rows, intake.over_cap])
        mine = Units(units.unit[rows], units.component[rows])
        counts = count_units(mine, table.label[rows])
    watch.facts = Facts(
        counts, len(table), len(rows), intake.dropped, intake.clipped, intake.withheld, watch.rejected
    )
    if watch.tell is not None:
        watch.tell(describe(counts, intake.dropped))
    with watch.step("partition"), _pace_of(table, rows, mine):
        for count in counts:
            if count.units < MIN_GROUPS * k:
                missing = MIN_GROUPS * k - count.units
                raise too_few(count.label, count.units, count.components, 0, k, missing)
        grouped = group_rows(build_frame(table, intake, units, k), k, rng)
    for reason, lost in grouped.split.dropped.items():
        intake.dropped[reason] = intake.dropped.get(reason, 0) + lost
    return grouped


@contextmanager
def _pace_of(table: OrderTable, rows: NDArray[np.intp], units: Units) -> Iterator[None]:
    """A refusal for want of units says how much longer the window would have to be."""
    try:
        yield
    except Shortage as short:
        mine = table.label[rows] == short.label
        raise short.at_pace(new_units_per_day(units.unit[mine], table.placed_at[rows][mine])) from None


def _draw(tables: Tables, rng: np.random.Generator, watch: _Watch) -> ReleasedRows:
    with watch.step("draw"):
        drawn = [draw_class(tables, label, rng) for label in (0, 1)]
    with watch.step("rake"):
        parts = []
        for label, part in enumerate(drawn):
            parts.append(ReleasedRows(**{**vars(part.rows), "weight": rake(tables, part, label)}))
        return join((parts[0], parts[1]), rng)


def _make(
    table: OrderTable, order: Order, rng: np.random.Generator, watch: _Watch
) -> tuple[Tables, ReleasedRows, dict[str, Any], str]:
    """Tables, drawn rows, certificate, and when the row-to-group map was destroyed."""
    grouped = _group(table, order, rng, watch)
    with watch.step("count"):
        independent = independent_count(table, grouped.frame.source, grouped.row_group)
    with watch.step("tables"):
        tables, seconds = build_tables(grouped, order.request.k, rng)
    watch.seconds |= seconds
    held = certificate(order.request.k, grouped, tables.groups, independent)
    check_certificate(held)
    # with map and raw rows together a release would only be pseudonymous (PIPL Art. 73)
    grouped.split.group.fill(-1)
    del grouped
    destroyed = stamp(order.request.now + watch.elapsed())
    return tables, _draw(tables, rng, watch), held, destroyed


def _write(
    folder: Path,
    made: tuple[Tables, ReleasedRows, dict[str, Any], str],
    order: Order,
    watch: _Watch,
    signer: Signer,
) -> dict[str, Any]:
    """Fill a folder with a release; returns its audit record."""
    tables, rows, held, destroyed = made
    facts = watch.facts
    if facts is None:
        raise RuntimeError("a release is written after its intake")
    with watch.step("write"):
        sizes = {**write_tables(folder, tables), ROWS: write_rows(folder, rows)}
        files = {name: {"rows": n, "sha256": file_sha256(folder / name)} for name, n in sizes.items()}
    release_id = "rel-" + hashlib.sha256(canonical_json(files)).hexdigest()[:16]
    output = {"release_id": release_id, "groups": held["groups"], "fraud_groups": held["fraud_groups"]}
    listed = [{"name": name, **entry} for name, entry in files.items()]
    record = audit_of_release(order, facts, held, {**output, "files": listed}, destroyed)
    (folder / AUDIT).write_bytes(signed_line({**record, "seq": 0}, signer))
    files[AUDIT] = {"rows": 1, "sha256": file_sha256(folder / AUDIT)}
    extra = {
        "release_id": release_id,
        "mapping_destroyed_at": destroyed,
        "strata": strata_of(tables.groups),
        "fraud_clusters": int(tables.cluster.max()) + 1,
        "key_id": signer.key_id,
        "timings": watch.timings(facts.accepted),
    }
    data = canonical_json(manifest_of(order, facts, held, files, extra))
    (folder / MANIFEST).write_bytes(data)
    (folder / SIGNATURE).write_bytes(signer.sign(data))
    return record


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Conflict(f"{out} is not an empty folder; a release is never overwritten", field="out")


@dataclass(frozen=True)
class _Log:
    """The audit log of the installation, where one is kept."""

    path: Path | None
    signer: Signer

    def append(self, record: Mapping[str, Any]) -> None:
        if self.path is not None:
            append_audit(self.path, record, self.signer)


@contextmanager
def _refusal_on_record(order: Order, watch: _Watch, log: _Log) -> Iterator[None]:
    """A release that was asked for and not made is on record too, with what was known by then."""
    try:
        yield
    except RiskgraphError as error:
        log.append(audit_of_refusal(order, watch.facts, error.code, error.message, watch.rejected))
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


def write_release(
    table: OrderTable,
    out: Path,
    request: ReleaseRequest,
    signer: Signer,
    *,
    progress: Progress | None = None,
    audit_log: Path | None = None,
    policy: Policy | None = None,
    rejected: tuple[Rejected, ...] = (),
    tell: Tell | None = None,
) -> Release:
    """Make a k-anonymous release of a history of orders.

    Args:
        table: All orders of the window, also unlabelled ones: they help to tell persons apart.
        out: Folder to make; it may exist when it is empty. Nothing is left there on failure.
        request: What is asked for.
        signer: Signs manifest and audit records.
        progress: Told of each step.
        audit_log: A log to append the release, or its refusal, to.
        policy: What an order may give for training; by default what the law asks for.
        rejected: What was found in the texts of the history (``search_values``), for the record.
        tell: Told before anything is partitioned who is counted, and what was left out.

    Returns:
        The release, opened and verified.

    Raises:
        Invalid: If a value of the table is wrong; the field is named.
        Conflict: If ``out`` holds anything.
        CheckFailed: If a class has too few persons, or a count does not certify the groups.
    """
    out = Path(out)
    _check_free(out)
    rng, commitment = _generator(request, signer)
    order = Order(request, commitment, policy or Policy.default())
    watch, log = _Watch(progress, tell, rejected), _Log(audit_log, signer)
    with _refusal_on_record(order, watch, log):
        # An objection that came after the window counts as well.
        table = replace(table, objected=objectors(table))
        history = table.take(table.placed_at < microseconds(request.until))
        # sums must not depend on how many cores a machine has, nor wait for threads that share one
        with threadpool_limits(limits=1, user_api="blas"):
            made = _make(history, order, rng, watch)
    with _new_folder(out) as folder:
        log.append(_write(folder, made, order, watch, signer))
    return Release.open(out, signer)
