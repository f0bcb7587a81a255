"""What the certificate of a release says, as sections of plain blocks that HTML and PDF both lay out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from riskgraph.core.errors import Invalid
from riskgraph.core.units import MAX_COMPONENT_SHARE, MIN_COMPONENTS
from riskgraph.sandbox.audit import FIRST
from riskgraph.sandbox.certificate.blocks import (
    Block,
    Section,
    count,
    figure,
    heading,
    lines,
    percent,
    rows_of,
    text,
)
from riskgraph.sandbox.certificate.findings import attacks, loss, risk, uses, utility
from riskgraph.sandbox.certificate.histogram import histogram_svg
from riskgraph.sandbox.certificate.texts import Say
from riskgraph.sandbox.partition import MAX_UNIT_SHARE
from riskgraph.sandbox.published import Told, least

_CLASSES = ((0, "honest"), (1, "fraud"))


@dataclass(frozen=True)
class Page:
    """One certificate.

    Attributes:
        lang: ``zh`` or ``en``. title, subtitle: Heading.
        banner: Set on releases of simulated orders.
        release_id: Of the release. made_at: ISO 8601, when it was made.
        page: Footer, with ``{n}`` and ``{total}``.
        sections: What follows.
    """

    lang: str
    title: str
    subtitle: str
    banner: str
    release_id: str
    made_at: str
    page: str
    sections: list[Section] = field(default_factory=list)


def certificate_page(
    manifest: Mapping[str, Any],
    record: Mapping[str, Any],
    later: Sequence[Mapping[str, Any]] | None,
    lang: str,
) -> Page:
    """The certificate of a release.

    Args:
        manifest: Its verified manifest.
        record: Its verified audit record.
        later: Verified records of the log that speak of it or of the procedure, oldest first; None where
            there is no log to look into.
        lang: ``zh`` or ``en``.

    Raises:
        Invalid: If the release is of an earlier version.
    """
    if "rounded_to" not in manifest["input"]:
        raise Invalid(
            "the release is of an earlier version, whose manifest tells exact counts of few orders",
            field="manifest.json:input.rounded_to",
        )
    say = Say(lang)
    simulated = manifest["provenance"] == "simulated"
    return Page(
        lang=lang,
        title=say("page.title"),
        subtitle=f"{manifest['release_id']} · {_moment(manifest['created_at'])}",
        banner=say("page.simulated") if simulated else "",
        release_id=manifest["release_id"],
        made_at=manifest["created_at"],
        page=say("page.number"),
        sections=_sections(manifest, record, later, say),
    )


def _sections(
    manifest: Mapping[str, Any],
    record: Mapping[str, Any],
    later: Sequence[Mapping[str, Any]] | None,
    say: Say,
) -> list[Section]:
    built = (
        ("summary", "", _summary(manifest, say)),
        ("counted", "", _counted(manifest, say)),
        ("k", "", _k_check(manifest["certificate"], say)),
        ("sizes", "", _sizes(manifest["certificate"], say)),
        ("released", "", _released(manifest, say)),
        ("dropped", say.law("dropped"), _dropped(manifest["input"], record, say)),
        ("loss", "", [*loss(record, say), *utility(later, say)]),
        ("attacks", say.law("attacks"), attacks(record, later, say)),
        ("risk", say.law("risk"), risk(record, say)),
        ("composition", say.law("composition"), [*_composition(record, say), *uses(later, say)]),
        ("claims", say.law("claims"), _claims(manifest, record, say)),
        ("audit", "", _audit(manifest, record, say)),
        ("verify", "", _verify(manifest, record, say)),
    )
    return [Section(say(f"title.{key}"), law, blocks) for key, law, blocks in built]


def _moment(stamp: str) -> str:
    return f"{stamp[:10]} {stamp[11:19]} UTC"


def _summary(manifest: Mapping[str, Any], say: Say) -> list[Block]:
    held = manifest["certificate"]
    lead = say(
        "summary.lead",
        k=held["k"],
        units=held["min_units"],
        components=held["min_components"],
        groups=count(held["groups"]),
    )
    rows = [
        (say("summary.release"), manifest["release_id"]),
        (say("summary.provenance"), say.known("provenance", manifest["provenance"])),
        (say("summary.made"), _moment(manifest["created_at"])),
        (say("summary.until"), manifest["input"]["until"]),
        (say("summary.code"), manifest["code"]),
        (say("summary.key"), manifest["key_id"]),
    ]
    return [text(lead, "lead"), text(say("summary.unit")), rows_of("facts", rows)]


def _counted(manifest: Mapping[str, Any], say: Say) -> list[Block]:
    names = ("orders", "units", "components")
    head = [say(f"counted.{name}") for name in ("class", *names, "groups")]
    rows = []
    for label, word in _CLASSES:
        entry = next(c for c in manifest["input"]["classes"] if c["label"] == label)
        groups = sum(s[f"{word}_groups"] for s in manifest["strata"].values())
        rows.append((say(f"class.{word}"), *(count(entry[n]) for n in names), count(groups)))
    return [
        text(say("counted.note")),
        rows_of("table", rows, head, numeric=range(1, 5), widths=(1.6, 1, 1, 1, 1)),
    ]


def _k_check(held: Mapping[str, Any], say: Say) -> list[Block]:
    other = held["independent"]
    asked = (
        ("min_units", "≥ " + count(held["k"]), count),
        ("min_components", "≥ " + count(MIN_COMPONENTS), count),
        ("max_component_share", f"≤ {percent(MAX_COMPONENT_SHARE)}", percent),
        ("max_unit_share", f"≤ {percent(MAX_UNIT_SHARE)}", percent),
        ("min_rows", "–", count),
        ("groups", "–", count),
    )
    rows = [(say(f"k.{name}"), ask, show(held[name]), show(other[name])) for name, ask, show in asked]
    head = [say(f"k.{name}") for name in ("measure", "asked", "partition", "independent")]
    return [
        text(say("k.note", checker=other["checker"])),
        rows_of("table", rows, head, numeric=range(1, 4), widths=(3, 1, 1.2, 1.2)),
    ]


def _sizes(held: Mapping[str, Any], say: Say) -> list[Block]:
    histogram = held["size_histogram"]
    names = {word: say(f"sizes.{word}") for _, word in _CLASSES}
    blocks = [text(say("sizes.note"))]
    for name in ("units", "components"):
        title = say(f"sizes.by_{name}")
        svg = histogram_svg(histogram[name], names, say(f"sizes.axis_{name}"), title)
        blocks += [heading(title), figure(svg, title)]
    return blocks


def _released(manifest: Mapping[str, Any], say: Say) -> list[Block]:
    rows = [
        (name, say.known("file", name.partition(".")[0]), count(entry["rows"]))
        for name, entry in sorted(manifest["files"].items())
    ]
    head = [say(f"released.{name}") for name in ("file", "what", "rows")]
    algorithm = manifest["algorithm"]
    noise = algorithm["noise_sd"]
    facts = [
        (say("released.algorithm"), algorithm["name"]),
        (say("released.noise"), say("released.noise_text", **noise)),
        (say("released.draws"), say("released.draws_text", **algorithm["draws"])),
    ]
    return [
        text(say("released.note")),
        rows_of("table", rows, head, numeric=(2,), widths=(1.6, 5, 1)),
        rows_of("facts", facts),
    ]


def _dropped(window: Mapping[str, Any], record: Mapping[str, Any], say: Say) -> list[Block]:
    rows = [(say.known("reason", name), count(value)) for name, value in _most_first(window["dropped"])]
    lost = record["loss"]["suppression"] if record.get("loss") else None
    facts = [
        (say("dropped.records"), count(window["records"])),
        (say("dropped.accepted"), count(window["accepted"])),
        (say("dropped.clipped"), count(window["clipped_values"])),
        (say("dropped.withheld"), count(window["withheld_nodes"])),
        (say("dropped.places"), ", ".join(f"{p} {count(n)}" for p, n in window["by_jurisdiction"].items())),
        (say("dropped.policy"), window["policy"]["version"]),
    ]
    if lost:
        facts.append((say("dropped.left_out"), f"{count(lost['rows'])} ({percent(lost['share'])})"))
    head = [say("dropped.reason"), say("dropped.rows")]
    return [
        text(say("dropped.note", k=window["rounded_to"])),
        rows_of("facts", facts),
        text(_found((record.get("fields") or {}).get("found") or [], say)),
        rows_of("table", rows, head, numeric=(1,), widths=(5, 1)),
    ]


def _found(found: Sequence[Mapping[str, Any]], say: Say) -> str:
    """Which special categories the texts of the history name, and how often."""
    each = ", ".join(
        f"{f['name']} ({say.known('category', f['category'])}): {count(f['count'])}" for f in found
    )
    return say("dropped.found", each=each) if found else say("dropped.nothing_found")


def _most_first(counts: Mapping[str, Told]) -> list[tuple[str, Told]]:
    return sorted(counts.items(), key=lambda item: (-least(item[1]), item[0]))


def _composition(record: Mapping[str, Any], say: Say) -> list[Block]:
    found = record.get("composition") or {}
    if found.get("exempt"):
        said = say("composition.exempt")
    elif found.get("ledger"):
        said = say(
            "composition.once",
            records=count(found["ledger"]["records"]),
            again=count(found["records_already_released"]),
            earlier=count(len(found["earlier_releases"])),
        )
    else:
        said = say("composition.unknown")
    destroyed = say("composition.map", at=_moment(record["mapping_destroyed_at"]))
    return [text(said), text(say("composition.erasure")), text(destroyed)]


def _basis(ground: Mapping[str, Any], say: Say) -> Block:
    """What use for training rests on, by law; then the further rules that apply."""
    rows = []
    for law in ("gdpr", "pipl", "other"):
        cited = ground.get(law)
        said = say("ground.consent", articles="; ".join(cited)) if cited else say("ground.none")
        rows.append((say(f"claims.{law}"), said))
    further = ground.get("further_rules")
    rows.append((say("claims.further"), "; ".join(further) if further else "–"))
    return rows_of("facts", rows)


def _claims(manifest: Mapping[str, Any], record: Mapping[str, Any], say: Say) -> list[Block]:
    simulated = manifest["provenance"] == "simulated"
    held = manifest["certificate"]
    may = [say("claims.may_k", k=held["k"]), say("claims.may_signed"), say("claims.may_rows")]
    may_not = [say(f"claims.not_{name}") for name in ("anonymous", "private", "attacks", "several")]
    if simulated:
        basis = text(say("claims.no_person"))
    else:
        basis = _basis(record.get("legal_basis") or {}, say)
    return [
        heading(say("claims.may")),
        lines("list", may),
        heading(say("claims.may_not")),
        lines("list", may_not),
        heading(say("claims.law")),
        lines("list", [say(f"claims.{name}") for name in ("wp216", "pipl73", "gbt", "model")]),
        heading(say("claims.basis")),
        basis,
    ]


def _audit(manifest: Mapping[str, Any], record: Mapping[str, Any], say: Say) -> list[Block]:
    approvals = record.get("approvals")
    facts = [
        (say("audit.seq"), count(record["seq"])),
        (say("audit.hash"), record["hash"]),
        (say("audit.prev_hash"), say("audit.first") if record["prev_hash"] == FIRST else record["prev_hash"]),
        (say("audit.seed"), manifest["algorithm"]["seed_commitment"]),
        (say("audit.approvals"), say("audit.no_approvals") if not approvals else count(len(approvals))),
    ]
    digests = [(name, entry["sha256"]) for name, entry in sorted(manifest["files"].items())]
    return [rows_of("facts", facts), heading("SHA-256"), rows_of("facts", digests)]


def _verify(manifest: Mapping[str, Any], record: Mapping[str, Any], say: Say) -> list[Block]:
    commands = [
        "riskgraph keys public --out riskgraph.pem",
        "riskgraph sandbox audit RELEASE --public-key riskgraph.pem",
        f"riskgraph sandbox audit --expect {record['hash']}",
    ]
    return [
        text(say("verify.note")),
        lines("code", commands),
        lines("list", [say(f"verify.{name}") for name in ("release", "log", "hand", "page")]),
    ]
