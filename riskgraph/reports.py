"""Stored decisions as their readers see them, with what is known beside the record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import ModelUnavailable, NotFound
from riskgraph.core.report import DecisionReport
from riskgraph.explainers.cache import RenderedReports
from riskgraph.explainers.choices import Form
from riskgraph.explainers.integrity import Evidence, Finding, check_report
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import render_html
from riskgraph.explainers.render_json import render
from riskgraph.explainers.standing import AS_DECIDED, Standing
from riskgraph.governance.keyring import KeyRing
from riskgraph.governance.limits import SubjectReports
from riskgraph.models.card import CARD_FILE, read_card
from riskgraph.models.registry import POINTER_FILE, promotions, shipped_champion
from riskgraph.ports import Verifier
from riskgraph.reviewing import Reviews
from riskgraph.stores import SqliteStore
from riskgraph.stores.codec import encode_record

MEDIA_TYPES = {"json": "application/json", "html": "text/html; charset=utf-8", "pdf": "application/pdf"}


@dataclass(frozen=True)
class ModelOrigins:
    """Where models lie: the folder of models, the configured one, and who checks the promotions."""

    models: Path
    configured: Path | None
    verifier: Callable[[], Verifier]

    def facts(self, model_sha256: str) -> dict[str, Any] | None:
        """What the card of a model says of its origin; None if no such model is at hand."""
        for folder in self._folders():
            known = _origin(folder, (folder / CARD_FILE).stat().st_mtime_ns)
            if known["card_sha256"] == model_sha256:
                return {key: value for key, value in known.items() if key != "card_sha256"}
        return None

    def approvals(self, model_sha256: str) -> tuple[dict[str, Any], ...]:
        """Promotions of a model, oldest first; none where the record of them cannot be trusted."""
        if not (self.models / POINTER_FILE).is_file():
            return ()
        try:
            entries = promotions(self.models, self.verifier())
        except ModelUnavailable:
            return ()
        mine = (entry for entry in entries if entry.model_sha256 == model_sha256)
        return tuple({key: getattr(entry, key) for key in ("by", "at", "event", "mode")} for entry in mine)

    def _folders(self) -> Iterator[Path]:
        if self.configured is not None and (self.configured / CARD_FILE).is_file():
            yield self.configured
        yield from (path.parent for path in sorted(self.models.glob(f"*/{CARD_FILE}")))
        try:
            yield shipped_champion()
        except ModelUnavailable:
            return


@lru_cache(maxsize=64)
def _origin(folder: Path, changed: int) -> dict[str, Any]:
    """A card's origin and digest; read once for as long as the file stays as it is."""
    try:
        card = read_card(folder)
    except ModelUnavailable:
        return {"card_sha256": None}
    data = card.to_json()
    keys = ("name", "kind", "provenance", "created", "releases", "window", "limits")
    return {key: data[key] for key in keys} | {"card_sha256": card.digest}


@dataclass(frozen=True)
class StoredReports:
    """Renders stored records for their readers, and checks what readers hold."""

    store: SqliteStore
    profile: MerchantProfile
    origins: ModelOrigins
    reviews: Reviews
    ring: KeyRing
    verify_url: str | None = None
    limit: SubjectReports | None = None
    cache: RenderedReports = field(default_factory=RenderedReports)

    def __post_init__(self) -> None:
        self.store.when_erased.append(self.cache.clear)

    def render(
        self, decision_id: str, merchant: str | None, audience: str, law: str, lang: str, form: str
    ) -> tuple[bytes, str]:
        """``(content, media type)`` of one decision's report; pages and PDFs are kept for the next reader.

        Raises:
            NotFound: If this merchant has no such decision.
            Invalid: If audience, law or language is unknown.
            ExtraMissing: If a PDF is asked for without the extra ``pdf``.
            TooManyRequests: If a person was told too often lately what would have changed a decision.
        """
        # Read first, whatever the cache holds: what is gone is gone, and what changed is made anew.
        found = self.store.read_record(decision_id)
        if found is None:
            self.cache.drop(decision_id)
        if found is None or merchant not in (None, found.merchant_id):
            raise NotFound(f"no decision {decision_id[:64]}", field="decision_id")
        if self.limit is not None and audience == "subject":
            self.limit.count(found.report)
        record, standing = found.report, self.standing(found.report)

        def make() -> bytes:
            return render_record(record, self.profile, audience, law, lang, form, standing)

        if form == Form.JSON:
            return make(), MEDIA_TYPES[form]
        digests = (_digest(encode_record(record)), self.policy, _standing_digest(standing, audience))
        content = self.cache.rendered(decision_id, (*digests, audience, law, lang, form), make)
        return content, MEDIA_TYPES[form]

    @cached_property
    def policy(self) -> str:
        """Digest of the merchant's profile."""
        return _digest(canonical_json(self.profile.data))

    def standing(self, record: DecisionReport) -> Standing:
        """What is known of a decision beside its record."""
        model = record.versions.get("model_sha256", "")
        after = self.reviews.afterwards(record.decision_id, record.issued_at)
        return Standing(
            model=self.origins.facts(model),
            approvals=self.origins.approvals(model),
            after=replace(after, evidence=self._evidence(record.decision_id)),
        )

    def _evidence(self, decision_id: str) -> Evidence | None:
        proof = self.store.proof(decision_id)
        return None if proof is None else Evidence(self.ring.signer, proof, self.verify_url)

    def check(self, report: Any) -> list[Finding]:
        """See :func:`riskgraph.explainers.integrity.check_report`."""
        return check_report(report, self.ring.verifier, self.store.place, self.ring.retired_at)

    def public_keys(self) -> list[dict[str, Any]]:
        """Keys that reports and tree heads were ever signed with, the newest first."""
        return [key.to_json() for key in self.ring.public_keys()]


def _standing_digest(standing: Standing, audience: str) -> str:
    """Digest of all that a page shows beside the record; shoppers are not shown the proof, which grows."""
    evidence = standing.after.evidence
    proof = None
    if evidence is not None:
        shown = None if audience == "subject" else dict(evidence.proof)
        proof = [evidence.signer.key_id, evidence.verify_url, shown]
    plain = replace(standing, after=replace(standing.after, evidence=None))
    return _digest(canonical_json([asdict(plain), proof]))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def render_record(
    record: DecisionReport,
    profile: MerchantProfile,
    audience: str,
    law: str,
    lang: str,
    form: str,
    standing: Standing = AS_DECIDED,
) -> bytes:
    """One record for one reader.

    Raises:
        Invalid: If audience, law or language is unknown.
        ExtraMissing: If a PDF is asked for without the extra ``pdf``.
    """
    asked: dict[str, Any] = {"audience": audience, "law": law, "lang": lang, "merchant": profile}
    if form == Form.HTML:
        return render_html(record, **asked, standing=standing).encode()
    if form == Form.JSON:
        report = render(record, **asked, standing=standing)
        return json.dumps(report, ensure_ascii=False, indent=1).encode()
    # Here, so that everything else works without the extra pdf.
    from riskgraph.explainers.render_pdf import render_pdf

    return render_pdf(record, **asked, standing=standing)
