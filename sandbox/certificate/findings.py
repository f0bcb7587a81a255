"""What was measured of a release, and what was not: loss, utility, attacks, risk, later uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riskgraph.sandbox.certificate.blocks import (
    Block,
    count,
    figure_of,
    heading,
    lines,
    percent,
    rows_of,
    text,
)
from riskgraph.sandbox.certificate.texts import Say

Record = Mapping[str, Any]
_ATTACK_COLUMNS = ("name", "n", "success", "control", "value", "ci", "bound", "judged_by", "verdict")


def loss(record: Record, say: Say) -> list[Block]:
    """Loss by the grouping."""
    found = record.get("loss")
    if found is None:
        return [text(say("loss.none"), "muted")]
    rows = [
        (say("loss.sse_ratio"), figure_of(found["sse_ratio"])),
        (say("loss.n_avg"), figure_of(found["n_avg"])),
        (say("loss.c_avg"), figure_of(found["c_avg"])),
        (say("loss.discernibility"), figure_of(found["discernibility"])),
        (say("loss.suppression"), percent(found["suppression"]["share"])),
    ]
    return [rows_of("facts", rows)]


def utility(later: Sequence[Record] | None, say: Say) -> list[Block]:
    """What training on a release of the same procedure costs against training on raw orders."""
    title = heading(say("loss.utility"))
    if later is None:
        return [title, text(say("loss.unknown_utility"), "muted")]
    runs = [r for r in later if r.get("event") == "cost" and isinstance(r.get("utility"), list)]
    if not runs:
        return [title, text(say("loss.no_utility"), "muted")]
    latest = runs[-1]
    head = [say(f"utility.{name}") for name in ("model", "orders", "figure", "raw", "release", "loss", "ci")]
    return [
        title,
        text(say("utility.procedure", **_about(latest, say))),
        rows_of(
            "table",
            [row for found in latest["utility"] for row in _utility_rows(found, say)],
            head,
            numeric=range(1, 7),
            widths=(2.2, 1, 1.6, 1, 1, 1, 1.8),
        ),
        text(say("utility.limits"), "muted"),
    ]


def _utility_rows(found: Record, say: Say) -> list[list[str]]:
    kinds = say("utility.unseen" if found["unseen"] else "utility.known")
    name = f"{say.known('fitted', found['model'])}, {kinds}"
    first, recall = [name, figure_of(found["fraud_orders"])], found["recall_at_fpr"]
    auc = [found[f"auc_{part}"] for part in ("raw", "release", "loss")] + [found["ci"]["auc"]]
    at = say("utility.recall", fpr=f"{100 * recall['fpr']:.2g}%")
    found_at = [recall[part] for part in ("raw", "release", "loss")] + [found["ci"]["recall"]]
    return [
        [*first, "AUC", *map(figure_of, _rounded(auc))],
        [*first, at, *map(figure_of, _rounded(found_at))],
    ]


def _rounded(values: Sequence[Any]) -> list[Any]:
    return [[round(v, 3) for v in value] if isinstance(value, list) else round(value, 3) for value in values]


def _about(record: Record, say: Say) -> dict[str, str]:
    """When, by which code and on which history something was measured."""
    asked = record.get("input") or {}
    about = {name: str(asked.get(name, "–")) for name in ("provenance", "until", "k")}
    about["provenance"] = say.known("provenance", about["provenance"])
    return {"at": record["ts"][:10], "code": record["actor"]["code_commit"], **about}


def attacks(record: Record, later: Sequence[Record] | None, say: Say) -> list[Block]:
    """Attacks on the release itself, else on the procedure that made it; else that there are none."""
    if later is None:
        return [text(say("attacks.unknown")), text(say("attacks.none_means"), "muted")]
    runs = [r for r in later if r.get("event") == "attack" and (r.get("risk") or {}).get("attacks")]
    own = [r for r in runs if r.get("output")]
    if not runs:
        return [text(say("attacks.none")), text(say("attacks.none_means"), "muted")]
    latest = (own or runs)[-1]
    said = "attacks.own" if own else "attacks.procedure"
    head = [say(f"attacks.{name}") for name in _ATTACK_COLUMNS]
    rows = [_attack_row(attack, say) for attack in latest["risk"]["attacks"]]
    splits = (latest.get("input") or {}).get("splits")
    return [
        text(say(said, **_about(latest, say))),
        rows_of("table", rows, head, numeric=range(1, 7), widths=(3, 1, 1, 1, 1, 1.7, 0.9, 0.9, 1.2)),
        *([text(say("attacks.splits", splits=str(splits)), "muted")] if splits else []),
        text(say("attacks.rules"), "muted"),
        text(say("attacks.limits"), "muted"),
    ]


def _attack_row(attack: Mapping[str, Any], say: Say) -> list[str]:
    how = [str(attack[key]) for key in ("method", "subjects", "per") if attack.get(key)]
    name = say.known("attack", str(attack.get("name")))
    first = f"{name} ({', '.join(how)})" if how else name
    by, verdict = (attack.get(key) for key in ("judged_by", "verdict"))
    return [
        first,
        *(figure_of(attack.get(column)) for column in _ATTACK_COLUMNS[1:-2]),
        say.known("judged_by", by) if by else "–",
        say.known("verdict", verdict) if verdict else figure_of(attack.get("pass")),
    ]


def risk(record: Record, say: Say) -> list[Block]:
    """Risk by GB/T 42460-2023, as far as it can be computed from the groups."""
    found = (record.get("risk") or {}).get("gbt42460")
    if not found:
        return [text(say("risk.none"), "muted")]
    rows = [
        (say("risk.tau"), figure_of(found["tau"])),
        ("DRa", f"{figure_of(found['DRa'])} · {say('risk.DRa')}"),
        ("DRb", f"{figure_of(found['DRb'])} · {say('risk.DRb')}"),
        ("DRc", f"{figure_of(found['DRc'])} · {say('risk.DRc')}"),
        (say("risk.context"), say("risk.no_context")),
        (say("risk.R"), f"≤ {figure_of(found['R'])}"),
        (say("risk.level"), str(found["level"])),
    ]
    spread = record.get("diversity") or {}
    label = [text(say("risk.label", t=figure_of(spread["t_max"])))] if spread else []
    return [text(say("risk.note")), rows_of("facts", rows), *label]


def uses(later: Sequence[Record] | None, say: Say) -> list[Block]:
    """Models that were trained on the release, and erasures since."""
    title = heading(say("composition.uses"))
    if later is None:
        return [title, text(say("composition.unknown_uses"), "muted")]
    read = [
        f"{c['model_id']} · {c['model_sha256'][:16]} · {c['ts'][:10]}"
        for r in later
        if r.get("event") == "read"
        for c in r.get("consumers") or []
    ]
    erased = sum(1 for r in later if r.get("event") == "erase")
    blocks = [title, lines("list", read) if read else text(say("composition.no_uses"), "muted")]
    return [*blocks, text(say("composition.erased", events=count(erased)))] if erased else blocks
