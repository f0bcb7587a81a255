"""Which models there are and which one decides. Works with the core install."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from riskgraph import bootstrap
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.core.units import LEAST_K
from riskgraph.models import registry
from riskgraph.models.card import Card, read_card
from riskgraph.settings import Settings

# False positives that may be rejected (contracts, section 8); the area is a floor, not an aim.
MAX_FPR = 0.0038
MIN_AUC = 0.80
REPORT_FILE, SCORES_FILE = "report.json", "scores.parquet"


def shipped_card() -> dict[str, Any]:
    """Card of the model that ships in the package."""
    return read_card(registry.shipped_champion()).to_json()


def list_models(settings: Settings) -> list[dict[str, Any]]:
    """The shipped model and those in the models folder, with the one that serves marked."""
    folder = bootstrap.models_folder(settings)
    current = registry.champion(folder, bootstrap.open_verifier(settings))
    shipped = registry.shipped_champion()
    rows = [_model_row(shipped, read_card(shipped), "observe", current is None)]
    for path, card in registry.list_models(folder):
        serves = current is not None and path.name == current.folder
        rows.append(_model_row(path, card, current.mode if current and serves else "observe", serves))
    return rows


def _model_row(path: Path, card: Card, mode: str, champion: bool) -> dict[str, Any]:
    facts = {"name": card.name, "kind": card.kind, "provenance": card.provenance}
    return {**facts, "mode": mode, "champion": champion, "folder": str(path)}


def promote(
    model: Path, by: str, reports: Sequence[Path], merchants: Sequence[str], settings: Settings
) -> dict[str, Any]:
    """Copy a model into the models folder and make it champion, signed.

    Args:
        model: Its folder.
        by: Who promotes it.
        reports: Folders of its backtests, signed by this installation; one at least, each must be passed.
        merchants: For whom it shall enforce; none lets it observe only.
        settings: Where the models, the tree and the signing key are.

    Raises:
        CheckFailed: Naming all that does not hold: releases, backtest, or provenance.
        Invalid: If it is not said who promotes, or a merchant's id cannot be meant.
        ModelUnavailable: If the folder holds no sound model, or another lies where it would be copied to.
    """
    check_words(by, merchants)
    card, mode = read_card(model), "enforce" if merchants else "observe"
    problems = [
        *name_problems(card),
        *release_problems(card),
        *provenance_problems(card, mode),
        *backtest_problems(reports, card, merchants, settings),
    ]
    if problems:
        raise CheckFailed(f"{card.name} is not promoted: {'; '.join(problems)}")
    folder, at = f"{card.name}-{card.digest[:12]}", _now()
    told = tuple(hashlib.sha256((report / REPORT_FILE).read_bytes()).hexdigest() for report in reports)
    tree = bootstrap.load_tree(settings).sha256
    entry = registry.Champion(
        card.name, folder, card.digest, told, tree, mode, tuple(merchants), by, at
    )  # fmt: skip
    models, signer = bootstrap.models_folder(settings), bootstrap.open_signer(settings)
    return asdict(registry.promote(models, model, entry, signer))


def check_words(by: str, merchants: Sequence[str] = ()) -> None:
    """That the record says who, and for whom by an id and not by a slip of the keyboard.

    Raises:
        Invalid: Naming the option.
    """
    if not by.strip():
        raise Invalid("--by must say who decides this", field="--by")
    for merchant in merchants:
        # An id that no order carries would leave the shop unprotected without anybody noticing.
        if merchant != merchant.strip() or not merchant or "|" in merchant:
            raise Invalid(
                f"--enforce must be a merchant_id, without '|' or spaces around it, got {merchant!r}",
                field="--enforce",
            )


def name_problems(card: Card) -> list[str]:
    """A name becomes that of a folder here, so it must not lead out of where models lie."""
    fits = re.fullmatch(r"\w[\w.+-]{0,99}", card.name)
    return [] if fits else [f"its name {card.name[:100]!r} cannot be that of a folder"]


def release_problems(card: Card) -> list[str]:
    """What keeps a model from counting as trained on releases alone, one sentence each."""
    if not card.releases:
        return ["its card names no release; train it with riskgraph train --release"]
    return [
        f"release {release.get('release_id')} has no certificate of k >= {LEAST_K}"
        for release in card.releases
        if min(_number(release, "k"), _number(release, "certificate", "k")) < LEAST_K
    ]


def provenance_problems(card: Card, mode: str) -> list[str]:
    """A model of simulated origin must not act on real shoppers (contracts, section 2)."""
    simulated = mode == "enforce" and card.provenance == bootstrap.SIMULATED
    return ["trained on simulated orders, it may only observe real shoppers"] if simulated else []


def backtest_problems(
    reports: Sequence[Path], card: Card, merchants: Sequence[str], settings: Settings
) -> list[str]:
    """What keeps backtests from being passed, one sentence each.

    Passed means: the report verifies with this installation's key; it is of this very model, under the tree
    that serves, out of time; false positives at reject are at most 0.38 % and the area under the ROC curve
    is at least 0.80, each by the worse end of its 95 % interval, which takes about a thousand honest orders
    at least. To enforce, it must be on real orders, and one must be on those of each merchant alone.
    """
    if not reports:
        raise Invalid("--backtest must name a backtest of the model", field="--backtest")
    problems, alone = [], set()
    for folder in reports:
        found, counted = _report_problems(folder, card, bool(merchants), settings)
        problems += [f"{problem} [{folder.name}]" if len(reports) > 1 else problem for problem in found]
        # Of several merchants a report says nothing of any one of them.
        alone |= set(counted) if len(counted) == 1 else set()
    return problems + [
        f"no backtest is of {name} alone (riskgraph backtest --merchant {name})"
        for name in merchants
        if name not in alone
    ]


def _report_problems(
    folder: Path, card: Card, enforce: bool, settings: Settings
) -> tuple[list[str], Sequence[str]]:
    """What keeps a backtest from being passed, and whose orders it counts."""
    if (folder / SCORES_FILE).exists():
        bootstrap.require_extra("riskgraph model promote")
    # Here, so that listing models and going back need nothing of the lab.
    from riskgraph.eval.backtest_report import verify_report

    broken = verify_report(folder, bootstrap.open_verifier(settings))
    if broken:
        return [f"the backtest does not verify: {problem}" for problem in broken], ()
    report = json.loads((folder / REPORT_FILE).read_bytes())
    of, tree = report["model"], bootstrap.load_tree(settings).sha256
    simulated = enforce and report["provenance"] == bootstrap.SIMULATED
    failed = {
        f"the backtest is of another model ({of['model']})": of["model_sha256"] != card.digest,
        "the backtest's verdicts are of another decision tree": report["tree_sha256"] != tree,
        "the backtest does not show that it is out of time": not report["out_of_time"]["shown"],
        "the backtest is on simulated orders, which say nothing of a shop": simulated,
    }
    problems = [problem for problem, found in failed.items() if found] + _figure_problems(report["metrics"])
    # Reports from before merchants stood in them say nothing of any.
    return problems, report.get("merchants", ())


def _figure_problems(metrics: Mapping[str, Any]) -> list[str]:
    rate, area = metrics["frozen"]["reject"]["fpr"], metrics["ranking"]["auc"]
    # Of a figure that is withheld the report gives the end that it cannot be beyond, or none.
    fpr, auc = rate["upper"], area["lower"]
    problems = []
    if fpr is None or fpr > MAX_FPR:
        found = _untold(rate) if fpr is None else f"may be {100 * fpr:.2f} %"
        problems.append(f"the false-positive rate at reject {found}, at most {100 * MAX_FPR:g} % is asked")
    least = _least_area(metrics["frozen"]) if auc is None else auc
    if least < MIN_AUC:
        found = _untold(area) if auc is None else f"may be {auc:.3f}"
        problems.append(f"the area under the ROC curve {found}, at least {MIN_AUC:g} is asked")
    return problems


def _least_area(frozen: Mapping[str, Any]) -> float:
    """What the area cannot be below where no curve is told: a ROC curve never falls after a point on it.

    So recall times the honest share that is let go, at either frozen threshold and by the worse ends.
    """
    ends = [(kind["recall"]["lower"], kind["fpr"]["upper"]) for kind in frozen.values()]
    known = [recall * (1.0 - rate) for recall, rate in ends if recall is not None and rate is not None]
    return max(known, default=0.0)


def _untold(figure: Mapping[str, Any]) -> str:
    if "withheld" in figure:
        return f"is withheld ({figure['withheld']}; a longer window has more)"
    return "is undefined"


def _number(data: Mapping[str, Any], *path: str) -> float:
    """A number in a card, or 0 where there is none."""
    value: Any = data
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else 0.0


def rollback(by: str, settings: Settings) -> dict[str, Any]:
    """Go back to the model that decided before the promotion in force; it goes on record.

    Raises:
        Invalid: If it is not said who goes back.
        NotFound: If nothing was promoted.
        Conflict: If the first promotion is in force.
        ModelUnavailable: If the earlier model's folder is gone or damaged, or its promotion does not verify.
    """
    check_words(by)
    models, signer = bootstrap.models_folder(settings), bootstrap.open_signer(settings)
    tree = bootstrap.load_tree(settings).sha256
    entry, left = registry.rollback(models, by=by, at=_now(), tree_sha256=tree, signer=signer)
    return {**asdict(entry), "instead_of": left.name}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
