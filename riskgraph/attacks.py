"""Attacks on a release, wired: world → two halves → a temporary release and a model of each → attacks."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph import auditing, bootstrap
from riskgraph.core.errors import Invalid
from riskgraph.core.table import OrderTable
from riskgraph.eval import worlds
from riskgraph.models import load_model
from riskgraph.models.train import train
from riskgraph.ports import Progress
from riskgraph.releasing import training_policy
from riskgraph.sandbox import Chunking, Policy, Release, ReleaseRequest, append_audit, write_release
from riskgraph.sandbox.attack import (
    RULES,
    Published,
    Raw,
    Result,
    Scorer,
    Split,
    Trials,
    attack_release,
    figures,
    numbered,
    raw_of,
    read_published,
    settle,
    split_history,
    true_groups,
)
from riskgraph.sandbox.audit import empty_record
from riskgraph.sandbox.choice import choose, window
from riskgraph.sandbox.published import told
from riskgraph.sandbox.scratch import sweep
from riskgraph.settings import Settings

KINDS = ("order2", "gbdt", "none")

Sizes = dict[str, dict[str, int]]


def attack(
    world: Path, *, until: date, seed: int, k: int, kind: str, splits: int, out: Path | None,
    settings: Settings, progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Release each half of a world's persons in a temporary folder and attack it with both halves.

    Halves are cut ``splits`` times. ``seed`` alone decides what is cut and drawn, whatever the key of the
    door is. That key enters the nodes that compare spellings of an address; a simulated world has one key
    everywhere, so that everybody finds the same in it.

    Raises:
        Invalid: If the kind of model is unknown, or there is no split.
        CheckFailed: If half of the persons are too few for a release.
    """
    if kind not in KINDS:
        raise Invalid(f"--kind must be one of {', '.join(KINDS)}, got {kind!r:.60}", field="--kind")
    if splits < 1:
        raise Invalid(f"--splits must be at least 1, got {splits}", field="--splits")
    auditing.check_log(settings)
    opened = worlds.World.open(world)
    table = _history(opened, until, settings, progress)
    # Of simulated provenance whatever the world is: its seed is then not keyed, so that the map that
    # judges linkage can be made again. That would be no way to release anything; this never leaves.
    request = ReleaseRequest(
        until=until, seed=seed, provenance=bootstrap.SIMULATED, now=time.time(),
        code=bootstrap.code_version(), k=k,
    )  # fmt: skip
    halves, result = _attack_splits(table, request, splits, kind, settings, progress)
    facts = {
        "provenance": opened.manifest["provenance"], "until": until.isoformat(), "k": k, "seed": seed,
        "splits": splits, "model": None if kind == "none" else kind, "halves": halves,
    }  # fmt: skip
    signer, log = bootstrap.open_signer(settings), auditing.log_path(settings)
    append_audit(log, _record(request, facts, result), signer)
    made = {"world": str(world), **facts, **_found(result)}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return made


def _found(result: Result) -> dict[str, Any]:
    """Figures and lines, the rules that judge them, and the names of those that are broken or open."""
    named = {
        word: [f"{f.attack} ({f.subjects}, per {f.per}, {f.method})" for f in lines]
        for word, lines in (("broken", result.broken), ("open", result.open))
    }
    return {"figures": figures(result), "attacks": result.to_json(), "rules": RULES, **named}


def _history(opened: worlds.World, until: date, settings: Settings, progress: Progress) -> OrderTable:
    """All orders placed before a day, labels as known on it, entities by number of their first order."""
    simulated = opened.manifest["provenance"] == bootstrap.SIMULATED
    sweep()
    door = bootstrap.simulated_door() if simulated else bootstrap.open_door(settings)
    midnight = datetime.combine(until, clock_time(), UTC).timestamp()
    worlds.replay(opened, door, progress)
    table = auditing.without_erased(opened.table(midnight, door, progress), settings)
    return numbered(window(table, until))


@dataclass(frozen=True)
class Half:
    """A release of one half of the persons, and what the attack needs of it."""

    published: Published
    members: Raw
    group: NDArray[np.int32]
    scorer: Scorer | None


def _attack_splits(
    table: OrderTable, request: ReleaseRequest, splits: int, kind: str, settings: Settings, progress: Progress
) -> tuple[list[Sizes], Result]:
    """Sizes of the halves of every split, and what the attacks on all of them say together."""
    policy = training_policy(settings)
    usable = choose(table, until=request.until, k=request.k, policy=policy)[0].rows
    sizes, found = list[Sizes](), list[list[Trials]]()
    for done, own in enumerate(np.random.SeedSequence(request.seed).spawn(splits)):
        progress("splits", done, splits)
        asked = replace(request, seed=int(own.generate_state(1)[0]))
        split = split_history(table, usable, asked.seed)
        halves, trials = _attack_halves(table, split, asked, policy, kind, settings, progress)
        sizes += halves
        found += trials
    return sizes, settle(found)


def _attack_halves(
    table: OrderTable, split: Split, request: ReleaseRequest, policy: Policy, kind: str, settings: Settings,
    progress: Progress,
) -> tuple[list[Sizes], list[list[Trials]]]:  # fmt: skip
    """Release each half in a temporary folder, attack both, and throw the releases away."""
    with tempfile.TemporaryDirectory() as spare:
        halves = [
            _release_half(table, side, split, request, policy, Path(spare) / name, kind, settings, progress)
            for name, side in (("first", split.first), ("second", ~split.first))
        ]
        # Inside the folder's life: a model reads its tables from there.
        trials = [
            attack_release(
                mine.published, mine.members, mine.group, other.members, mine.scorer,
                seed=request.seed, progress=progress,
            )
            for mine, other in (halves, halves[::-1])
        ]  # fmt: skip
    return [_sizes(half) for half in halves], trials


def _release_half(
    table: OrderTable, side: NDArray[np.bool_], split: Split, request: ReleaseRequest, policy: Policy,
    folder: Path, kind: str, settings: Settings, progress: Progress,
) -> Half:  # fmt: skip
    # Only this half goes in: the others must not even help to tell persons apart.
    inside = np.flatnonzero(side)
    history, signer = table.take(inside), bootstrap.open_signer(settings)
    # in one piece, however large: the map that judges linkage is made again in memory
    whole = Chunking(above=len(history))
    release = write_release(
        history, folder / "release", request, signer, progress=progress, policy=policy, chunking=whole
    )  # fmt: skip
    published = read_published(release)
    truth = true_groups(history, request, published, policy)
    scorer = None if kind == "none" else _trained(release, folder / "model", kind, progress)
    return Half(published, raw_of(truth.entered, inside[truth.rows], split), truth.group, scorer)


def _trained(release: Release, folder: Path, kind: str, progress: Progress) -> Scorer:
    """A model trained on the release, as a function of raw records."""
    train([release], folder, kind=kind, progress=progress)  # type: ignore[arg-type]
    model = load_model(folder)

    def score(raw: Raw) -> NDArray[np.float64]:
        probability: NDArray[np.float64] = model.score_batch(raw.components, raw.availability)[1]
        return probability

    return score


def _sizes(half: Half) -> Sizes:
    """Rows, persons and components of a half, by class."""
    out = {}
    for label, word in enumerate(("honest", "fraud")):
        mine = half.members.take(half.members.label == label)
        out[word] = {
            "rows": len(mine),
            "persons": len(np.unique(mine.unit)),
            "components": len(np.unique(mine.component)),
        }
    return out


def _record(request: ReleaseRequest, facts: dict[str, Any], result: Result) -> dict[str, Any]:
    """The audit record of an attack; nothing was released. Counts are rounded as a release's are."""
    asked, k = figures(result), request.k
    halves = [
        {word: {name: told(n, k) for name, n in sizes.items()} for word, sizes in half.items()}
        for half in facts["halves"]
    ]
    return {
        **empty_record(),
        "ts": datetime.fromtimestamp(request.now, UTC).isoformat(timespec="milliseconds"),
        "event": "attack",
        "actor": {"service": "sandbox", "uid": None, "code_commit": request.code},
        "purpose": "test of the release procedure by attack",
        "input": {**facts, "halves": halves, "rounded_to": k},
        "risk": {
            "attacks": [_told_line(line, k) for line in result.to_json()],
            "wp216": {name: asked[name] for name in ("singling_out", "linkability", "inference")},
        },
        "verdict": result.verdict,
    }


def _told_line(line: dict[str, Any], k: int) -> dict[str, Any]:
    """A line without exact counts: a person has several trials, so trials are rounded to k persons' worth.

    Rates have four digits, or their denominators could be worked out.
    """
    share = {name: line[name] and round(line[name], 4) for name in ("success", "control", "value", "p")}
    ends = line["ci"] and [round(end, 4) for end in line["ci"]]
    # predicates of singling out are not persons
    each = (
        1
        if line["name"] == "singling_out"
        else -(-max(line["n"], line["controls"]) // max(line["persons"], 1))
    )
    step = k * max(each, 1)
    # a side that was not tried at all says nothing of anybody
    counts = {name: line[name] and told(line[name], step) for name in ("n", "controls")}
    return {**line, **share, "ci": ends, **counts, "persons": told(line["persons"], k)}
