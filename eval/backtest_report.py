"""The signed folder of a backtest: written in one step, checked by anyone with the public key.

``report.json`` is canonical JSON and lists the SHA-256 of every other file; ``report.sig`` signs
its exact bytes. One changed byte anywhere is found.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Conflict, ExtraMissing
from riskgraph.eval import plots
from riskgraph.eval.backtest_page import render_page
from riskgraph.eval.comparison import Ranked
from riskgraph.eval.metrics import Bools, Floats, area, auc
from riskgraph.eval.slices import Scored
from riskgraph.eval.window import Truth, join
from riskgraph.ports import Signer, Verifier

REPORT, SIGNATURE, PAGE, SCORES = "report.json", "report.sig", "report.html", "scores.parquet"


def check_free(out: Path) -> None:
    """Raises Conflict when ``out`` is there and not an empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Conflict(f"{out} is not empty; name a new folder for the report", field="out")


def check_extras() -> None:
    """Raises ExtraMissing when scores or pictures could not be written (extra ``lab``)."""
    plots.check_matplotlib()
    try:
        import pyarrow  # noqa: F401
    except ImportError as missing:
        raise ExtraMissing("backtest scores", "lab") from missing


def write_report(
    out: Path, report: Mapping[str, Any], rows: Scored, ranked: Mapping[str, Ranked], signer: Signer,
    *, lang: str = "en",
) -> dict[str, Any]:  # fmt: skip
    """Write the folder beside its place and move it there in one step.

    Returns:
        The report as stored, with the digests of its files; undefined figures are None.

    Raises:
        Conflict: If ``out`` is not empty.
    """
    check_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        # The page is made from what is signed, so that it cannot say something else.
        plain: dict[str, Any] = plain_json(report)
        _write_pictures(temporary, plain, rows, ranked)
        if plain["simulated"]:
            _write_scores(temporary / SCORES, rows)
        (temporary / PAGE).write_text(render_page(plain, lang), encoding="utf-8")
        plain["files"] = {p.name: _digest(p) for p in sorted(temporary.iterdir())}
        body = canonical_json(plain)
        (temporary / REPORT).write_bytes(body)
        (temporary / SIGNATURE).write_bytes(_signature(signer.key_id, body, signer.sign(body)))
        # mkdtemp lets only its owner in; the report is meant for others.
        temporary.chmod(0o755)
        os.replace(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return plain


def verify_report(path: Path, verifier: Verifier, truth: Truth | None = None) -> list[str]:
    """Check a report folder.

    Args:
        path: The folder, or its ``report.json``.
        verifier: Holds the public key that the signature must fit.
        truth: The oracle, where the reader has it: the area is then also computed from the scores.

    Returns:
        What does not hold, one sentence each; empty when everything does. The signature, the
        digest of every file, the area from the ROC points, the size of their steps where orders are
        of real people, and the ROC points and verdicts against the scores are checked.
    """
    folder = path.parent if path.name == REPORT else path
    try:
        body = (folder / REPORT).read_bytes()
        signature = (folder / SIGNATURE).read_bytes()
    except OSError as wrong:
        return [f"{Path(wrong.filename or folder).name} cannot be read ({wrong.strerror})"]
    problems = _signature_problems(body, signature, verifier)
    try:
        report = json.loads(body)
        problems += [] if canonical_json(report) == body else [f"{REPORT} is not canonical JSON"]
        problems += _file_problems(folder, report["files"])
        problems += _area_problems(report)
        # Only over files that are the signed ones: anything else would be an error about an error.
        if report["simulated"] and not problems:
            problems += _score_problems(folder / SCORES, report, truth)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as wrong:
        problems.append(f"{REPORT} cannot be understood ({type(wrong).__name__}: {wrong})")
    return problems


def _write_pictures(
    folder: Path, report: Mapping[str, Any], rows: Scored, ranked: Mapping[str, Ranked]
) -> None:
    simulated = report["simulated"]
    window = f"{report['window']['from']} to {report['window']['to']}"
    kind = "simulated orders" if simulated else "labelled orders"
    title = f"Out-of-time backtest, {window}, {len(rows):,} {kind}"
    plots.plot_roc(folder, ranked, report["metrics"]["frozen"], title, simulated)
    plots.plot_scores(
        folder,
        rows.probability,
        rows.is_fraud,
        f"Scores, {window}",
        simulated,
        rows.told.floor if rows.told else None,
    )
    steps = report["slices"].get("camouflage")
    if steps:
        plots.plot_camouflage(folder, steps, f"Recall against camouflage, {window}", simulated)


def _write_scores(path: Path, rows: Scored) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({
        "order_id": pa.array([str(i) for i in rows.order_id], pa.string()),
        "score": pa.array(rows.probability, pa.float64()),
        "verdict": pa.array([str(v) for v in rows.verdict], pa.string()),
    })  # fmt: skip
    parquet.write_table(table.replace_schema_metadata({"provenance": "simulated"}), path)


def _signature(key_id: str, body: bytes, signature: bytes) -> bytes:
    return canonical_json({
        "algorithm": "Ed25519",
        "key_id": key_id,
        "payload_sha256": hashlib.sha256(body).hexdigest(),
        "signature": signature.hex(),
    })  # fmt: skip


def _signature_problems(body: bytes, stored: bytes, verifier: Verifier) -> list[str]:
    try:
        signature = bytes.fromhex(json.loads(stored)["signature"])
        key_id = json.loads(stored)["key_id"]
    except (ValueError, KeyError, TypeError):
        return [f"{SIGNATURE} cannot be understood"]
    if key_id != verifier.key_id:
        return [f"signed with key {key_id!r}, not with {verifier.key_id!r}"]
    # Compared whole: case, spaces and unused fields must not be a place to hide a change.
    if stored != _signature(key_id, body, signature):
        return [f"{SIGNATURE} is not the signature of this {REPORT}"]
    return [] if verifier.verify(body, signature) else [f"the signature does not fit {REPORT}"]


def _file_problems(folder: Path, files: Mapping[str, str]) -> list[str]:
    problems = []
    # A file too many is a problem too: a reader would take it for part of what was signed.
    present = {p.name for p in folder.iterdir()} - {REPORT, SIGNATURE}
    for name in sorted(present | set(files)):
        if name not in files:
            problems.append(f"{name} is not part of the report")
        elif name not in present:
            problems.append(f"{name} is missing")
        elif not (folder / name).is_file() or _digest(folder / name) != files[name]:
            problems.append(f"{name} was changed after the report was signed")
    return problems


def _area_problems(report: Mapping[str, Any]) -> list[str]:
    points = report["roc"]["points"]
    fp, tp = (np.array(points[k], dtype=np.int64) for k in ("fp", "tp"))
    stated = report["metrics"]["ranking"]["auc"]["value"]
    least = report.get("cells", {}).get("persons", 0)
    if stated is None:
        return [] if len(fp) == 2 else ["the report withholds the area and tells a curve"]
    if min(np.diff(fp).min(), np.diff(tp).min()) < least:
        return [f"a step of the ROC curve has fewer than {least} orders of a class"]
    found = area(fp, tp)
    same = abs(found - stated) <= 1e-9
    return [] if same else [f"the ROC points give an area of {found:.6f}, the report says {stated:.6f}"]


def _score_problems(path: Path, report: Mapping[str, Any], truth: Truth | None) -> list[str]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    score = np.asarray(table["score"].to_numpy(), dtype=np.float64)
    verdict = np.array(table["verdict"].to_pylist(), dtype=object)
    points, frozen = report["roc"]["points"], report["metrics"]["frozen"]["reject"]
    flagged = np.array(points["fp"][1:]) + np.array(points["tp"][1:])
    above = len(score) - np.searchsorted(np.sort(score), np.array(points["threshold"][1:]), side="left")
    problems = []
    if not np.array_equal(flagged, above):
        problems.append(f"the ROC points do not count the scores in {SCORES}")
    if int((verdict == "reject").sum()) != frozen["tp"] + frozen["fp"]:
        problems.append(f"the rejected orders of the report are not those in {SCORES}")
    if truth is not None:
        problems += _oracle_problems(
            np.array(table["order_id"].to_pylist(), dtype=object), score, report, truth
        )
    return problems


def _oracle_problems(order_id: Any, score: Floats, report: Mapping[str, Any], truth: Truth) -> list[str]:
    place, known = join(order_id, truth.order_id)
    if not known.all():
        return [f"{int((~known).sum())} orders in {SCORES} are not in the oracle"]
    is_fraud: Bools = truth.is_fraud[place]
    found, stated = auc(score, is_fraud), report["metrics"]["ranking"]["auc"]["value"]
    same = abs(found - stated) <= 1e-9
    return [] if same else [f"{SCORES} gives an area of {found:.6f}, the report says {stated:.6f}"]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def plain_json(value: Any) -> Any:
    """The value as JSON types; what is not a finite number becomes None."""
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    return value
