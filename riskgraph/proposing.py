"""Further pairs, wired: world → sandbox's locked process → signed proposal → the catalogue's table.

Proposing needs the extras ``lab`` and ``train``, adopting ``lab``.
"""

from __future__ import annotations

import csv
import io
import json
import time
from importlib import resources
from pathlib import Path
from typing import Any

from riskgraph import auditing, bootstrap
from riskgraph.core.catalog import FOUND_FIELDS, FOUND_TABLE, Catalog, catalog, read_table
from riskgraph.core.errors import Conflict, Invalid
from riskgraph.eval import worlds
from riskgraph.models.compiled import settle
from riskgraph.models.pair_search import left_over
from riskgraph.ports import Progress
from riskgraph.releasing import training_policy
from riskgraph.sandbox import stamp
from riskgraph.sandbox.intake import microseconds
from riskgraph.sandbox.proposal import (
    PairRequest,
    find_pairs,
    proposal_sha256,
    read_proposal,
    signed_proposal,
)
from riskgraph.sandbox.scratch import sweep
from riskgraph.settings import Settings

# As in ``cost``: what the fit loads late, and could not once the process is locked.
LIBRARIES = ("torch._dynamo",)


def propose(
    world: Path, request: PairRequest, settings: Settings, progress: Progress, out: Path | None = None
) -> dict[str, Any]:
    """Look for pairs on the rows of a world that would enter a release; on record before it is written.

    Args:
        world: A history.
        request: What is looked for.
        settings: Where keys, log and ledger lie.
        progress: Told of each step.
        out: File to write.

    Returns:
        The signed proposal.

    Raises:
        Conflict: If ``out`` exists.
        Invalid: If the world holds a wrong value.
        CheckFailed: If there are too few persons for a release.
        ExtraMissing: If torch is not installed.
    """
    if out is not None and out.exists():
        raise Conflict(f"{out} exists; a proposal is never overwritten", field="out")
    sweep()
    auditing.check_log(settings)
    opened, door, signer = (
        worlds.World.open(world),
        bootstrap.open_door(settings),
        bootstrap.open_signer(settings),
    )
    worlds.replay(opened, door, progress)
    table = auditing.without_erased(opened.table(microseconds(request.until) / 1e6, door, progress), settings)
    policy = training_policy(settings)
    found = find_pairs(table, left_over, request, progress, LIBRARIES, policy=policy)
    proposal = signed_proposal(
        found, request, signer, provenance=opened.manifest["provenance"], code=bootstrap.code_version(),
        at=stamp(time.time()),
    )  # fmt: skip
    auditing.log_proposal(proposal, proposal_sha256(proposal), settings)
    if out is not None:
        out.write_text(json.dumps(proposal, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return proposal


def found_table() -> Path:
    """Where adopted pairs lie: beside the catalogue's own tables."""
    return Path(str(resources.files("riskgraph.core").joinpath("data", FOUND_TABLE)))


def adopt(
    proposal: Path, settings: Settings, *, first: int | None, public_key: Path | None, table: Path | None
) -> dict[str, Any]:
    """Add the pairs of a verified proposal to the catalogue's table of found pairs: a new version.

    Args:
        proposal: A proposal's file.
        settings: Where the own key lies.
        first: How many pairs, from the best on; all if left out.
        public_key: Key of another installation that proposed.
        table: The table to write; default :func:`found_table`.

    Returns:
        JSON: old and new version and digest, the pairs, the table.

    Raises:
        CheckFailed: If the proposal does not hold, or was made for another catalogue.
        Invalid: If it has no pair to take, or one that data may not add.
    """
    read = read_proposal(proposal.read_bytes(), bootstrap.open_verifier(settings, public_key))
    taken = [pair["nodes"] for pair in read["pairs"]][:first]
    if not taken:
        raise Invalid(f"{proposal} proposes no pair", field="proposal")
    before, table = catalog(), table or found_table()
    text = read_table(FOUND_TABLE) or ",".join(FOUND_FIELDS) + "\n"
    lines = io.StringIO()
    digest = proposal_sha256(read)
    rows = ([*(before[node].name for node in nodes), digest] for nodes in taken)
    csv.writer(lines, lineterminator="\n").writerows(rows)
    try:
        after = Catalog.read(read_table("catalog.csv"), read_table("edges.csv"), text + lines.getvalue())
    except ValueError as wrong:
        raise Invalid(str(wrong), field="proposal.pairs") from wrong
    part = table.with_name(f".{table.name}.part")
    part.write_text(text + lines.getvalue(), encoding="utf-8")
    # In one step: half a table would be another catalogue.
    settle(part, table)
    return {
        "table": str(table),
        "proposal_sha256": digest,
        "provenance": read["provenance"],
        "pairs": taken,
        "before": {"version": before.version, "sha256": before.sha256},
        "after": {"version": after.version, "sha256": after.sha256},
    }
