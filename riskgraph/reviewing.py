"""Objections and human review as callers see them: bodies in, JSON out, deadlines of the merchant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from riskgraph.core import review
from riskgraph.core.errors import Invalid, NotFound, UnknownField
from riskgraph.core.reader import Reader
from riskgraph.core.review import Case, Ruling, Stands
from riskgraph.explainers.afterwards import Afterwards
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.governance.contest_links import ContestLinks
from riskgraph.ports import Clock
from riskgraph.stores import SqliteStore
from riskgraph.stores.reads import StoredDecision
from riskgraph.stores.reviews import Contest, Filed, Step

MAX_WORDS, MAX_EVIDENCE, MAX_ITEM, MAX_NAME = 2000, 20, 500, 80
STEPS = ("claim", "release", "note", "extend", "decide")
HISTORY_OF = {
    "claim": "claimed", "release": "released", "note": "noted", "extend": "extended", "decide": "decided",
}  # fmt: skip
LOGGED = ("opened", "contested", "extended", "decided")
CONTEST_FIELDS = ("decision_id", "wish", "text", "lang")
FIELDS = {
    "claim": (),
    "release": (),
    "note": ("note",),
    "extend": ("reason",),
    "decide": ("outcome", "verdict", "action", "evidence", "reason"),
}
PENDING = (review.OPEN, review.CLAIMED)


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who reviews: the key that was shown, the person's name or number, and whose rows the key may see."""

    key_id: str
    name: str
    merchant: str | None
    chief: bool = False

    @property
    def who(self) -> str:
        return f"{self.name} ({self.key_id})"


@dataclass(frozen=True)
class Reviews:
    """Objections to decisions and their review, over one store.

    Attributes:
        store: Where decisions and cases lie.
        profile: Gives the merchant's deadlines.
        links: Makes and checks the links that reports carry.
        clock: Tells the time of each step.
        public_url: Address under which shoppers reach the service; empty where they cannot.
    """

    store: SqliteStore
    profile: MerchantProfile
    links: ContestLinks
    clock: Clock
    public_url: str = ""

    def found(self, decision_id: str, merchant: str | None) -> StoredDecision:
        """The decision.

        Raises:
            NotFound: If this merchant has none of that id.
        """
        found = self.store.read_record(decision_id)
        if found is None or merchant not in (None, found.merchant_id):
            raise NotFound(f"no decision {decision_id[:64]}", field="decision_id")
        return found

    def contest_url(self, decision_id: str, issued_at: str) -> str | None:
        """The link for a report; None where shoppers cannot reach this service."""
        if not self.public_url:
            return None
        token = self.links.token(decision_id, self.link_end(issued_at))
        return f"{self.public_url.rstrip('/')}/contest/{token}"

    def link_end(self, issued_at: str) -> float:
        """Until when the link in a report works, epoch seconds."""
        return datetime.fromisoformat(issued_at).timestamp() + 86_400.0 * self.profile.contest_link_days

    def contest(self, decision_id: str, merchant: str | None, body: Mapping[str, Any], via: str) -> Filed:
        """Keep an objection (GDPR Art. 22(3); PIPL Art. 24(3)).

        Args:
            decision_id: Which decision.
            merchant: The only merchant whose decisions may be seen; None for all.
            body: ``wish`` (person, view, correction), ``text`` and ``lang``.
            via: ``page`` or ``merchant``: which way it came.

        Raises:
            NotFound: If there is no such decision.
            Invalid: If a field is wrong; it is named.
            Conflict: If too many objections wait already.
            StorageUnavailable: If it was not committed.
        """
        read = Reader(body)
        wish = read.text("wish", required=True, words=review.WISHES) or ""
        text = words(read, "text", required=wish != "person")
        lang = read.text("lang", words=("zh", "en")) or "en"
        found, now = self.found(decision_id, merchant), self.clock.now()
        opening = opening_case(found, review.BY_CONTEST, now)
        due = review.answer_due(now, self.profile.answer_days(opening.jurisdiction))
        return self.store.reviews.file(opening, Contest(wish, text, lang, via, now, due))

    def step(self, decision_id: str, reviewer: Reviewer, body: Mapping[str, Any]) -> dict[str, Any]:
        """Claim, release, note, extend or decide; returns the case afterwards.

        Raises:
            NotFound: If this reviewer's merchant has no such decision.
            Invalid: If a field is wrong; it is named.
            Conflict: If another reviewer has the case, or it does not allow the step now.
            StorageUnavailable: If it was not committed.
        """
        found, now = self.found(decision_id, reviewer.merchant), self.clock.now()
        step = parse_step(body, reviewer, now)
        self.store.reviews.step(opening_case(found, review.BY_REVIEWER, now), step)
        return self.one(decision_id, reviewer.merchant)

    def one(self, decision_id: str, merchant: str | None) -> dict[str, Any]:
        """A case with the shopper's words and its history, for the reviewer.

        Raises:
            NotFound: If there is no such decision, or nobody asked for a review of it.
        """
        self.found(decision_id, merchant)
        case = self.store.reviews.case(decision_id)
        if case is None:
            raise NotFound("nobody asked for a review of this decision; claim opens one", field="decision_id")
        contests = self.store.reviews.contests(decision_id)
        history = self.store.reviews.history(decision_id)
        return {
            **self.shown(case),
            "contests": [{**row, **moments(row, "received_at", "due_at")} for row in contests],
            "history": [
                {"round": row["round"], "at": moment(row["at"]), "kind": row["kind"], "actor": row["actor"]}
                | row["body"]
                for row in history
            ],
        }

    def queue(self, state: str, merchant: str | None, limit: int) -> dict[str, Any]:
        """Cases by deadline, without anybody's words; ``state`` is pending, a state of a case, or all."""
        states = {"pending": PENDING, "all": review.STATES}.get(state, (state,))
        cases = self.store.reviews.queue(states, merchant, limit)
        totals = self.store.reviews.counts(merchant, self.clock.now())
        return {**totals, "reviews": [self.shown(case) for case in cases]}

    def shown(self, case: Case) -> dict[str, Any]:
        """A case as JSON, without history and without the shopper's words."""
        return {
            "decision_id": case.decision_id,
            "merchant_id": case.merchant_id,
            "order_key": case.order_key,
            "jurisdiction": case.jurisdiction,
            "origin": case.origin,
            "state": case.state,
            "round": case.round,
            **moments(asdict(case), "opened_at", "contested_at", "due_at", "closed_at"),
            "overdue": review.overdue(case, self.clock.now()),
            "extended": case.extended,
            "claimed_by": case.claimed_by,
            "outcome": case.outcome,
            "stands": standing(case.stands),
        }

    def told(self, decision_id: str) -> dict[str, Any]:
        """What the shopper may know: what came in, that a person looked, when, and the outcome.

        Times are epoch seconds. ``stands`` is the verdict that a person gave, None while the system's holds;
        ``due`` is until when a person looks at it, None where nobody has to.
        """
        case = self.store.reviews.case(decision_id)
        if case is None:
            return {"received": [], "answered": [], "stands": None, "due": None}
        rows, history = self.store.reviews.contests(decision_id), self.store.reviews.history(decision_id)
        return {
            "received": [
                {
                    "contest_id": row["contest_id"],
                    "at": row["received_at"],
                    "wish": row["wish"],
                    "answered": case.state == review.CLOSED or row["round"] < case.round,
                    # While it waits, its deadline may have been extended.
                    "due": row["due_at"] if case.due_at is None else max(case.due_at, row["due_at"]),
                }
                for row in rows
            ],
            "answered": [
                {"at": row["at"], "outcome": row["body"]["outcome"]}
                for row in history
                if row["kind"] == "decided"
            ],
            "stands": case.stands.verdict if case.stands.by == review.PERSON else None,
            "due": case.due_at,
        }

    def log(self, decision_id: str) -> list[dict[str, Any]]:
        """The review log of the compliance report: who, when, on what evidence, with which outcome and why.

        Without the shopper's words and the reviewers' working notes, which are for the reviewer.
        """
        return [
            {"at": moment(row["at"]), "kind": row["kind"], "round": row["round"], "reviewer": row["actor"]}
            | row["body"]
            for row in self.store.reviews.history(decision_id)
            if row["kind"] in LOGGED
        ]

    def afterwards(self, decision_id: str, issued_at: str) -> Afterwards:
        """What a report adds to the record of a decision."""
        url = self.contest_url(decision_id, issued_at)
        end = self.link_end(issued_at)
        return Afterwards(url, end, self.told(decision_id), tuple(self.log(decision_id)))

    def stands(self, decision_id: str) -> dict[str, Any] | None:
        """What stands for a decision now, for the checkout; None where there never was a review."""
        case = self.store.reviews.case(decision_id)
        if case is None:
            return None
        return {
            "state": case.state,
            "outcome": case.outcome,
            **moments(asdict(case), "due_at", "closed_at"),
            "stands": standing(case.stands),
        }


def opening_case(found: StoredDecision, origin: str, at: float) -> Case:
    """The case of a decision before anything happened in it."""
    facts = found.report.score
    stands = Stands(str(facts["verdict"]), str(facts["action"]), str(facts["mode"]))
    jurisdiction = str(found.report.order["jurisdiction"])
    return Case(found.decision_id, found.merchant_id, found.order_key, jurisdiction, origin, at, stands)


def parse_step(body: Mapping[str, Any], reviewer: Reviewer, at: float) -> Step:
    """What a reviewer asks to do.

    Raises:
        Invalid: If a field is missing, wrong, or does not belong to the step; it is named.
    """
    read = Reader(body)
    name = read.text("step", required=True, words=STEPS) or ""
    refuse_unknown(body, ("step", "reviewer", *FIELDS[name]))
    who, told = reviewer.who, {}
    if name == "claim":
        change = partial(review.claim, who=who)
    elif name == "release":
        change = partial(review.release, who=who, anyone=reviewer.chief)
    elif name == "note":
        told = {"note": words(read, "note", required=True)}
        change = partial(kept, who=who)
    elif name == "extend":
        told = {"reason": words(read, "reason", required=True)}
        change = partial(review.extend, who=who, at=at)
    else:
        ruling = parse_ruling(read)
        told = asdict(ruling)
        change = partial(review.rule, who=who, ruling=ruling, at=at)
    return Step(HISTORY_OF[name], who, at, change, told)


def kept(case: Case, who: str) -> Case:
    """A note changes nothing, and is the holder's to make."""
    review.held_by(case, who)
    return case


def parse_ruling(read: Reader) -> Ruling:
    """Outcome with evidence and reason: a review that states neither is a symbol only.

    Amsterdam Court of Appeal, 4 April 2023 (ECLI:NL:GHAMS:2023:793).

    Raises:
        Invalid: If one is missing or wrong.
    """
    evidence = read.body.get("evidence")
    if not isinstance(evidence, list) or not 1 <= len(evidence) <= MAX_EVIDENCE:
        raise Invalid(f"evidence must list 1 to {MAX_EVIDENCE} things that were looked at", field="evidence")
    seen = Reader({str(i): item for i, item in enumerate(evidence)}, "evidence.")
    return Ruling(
        outcome=read.text("outcome", required=True, words=review.OUTCOMES) or "",
        reason=words(read, "reason", required=True),
        evidence=tuple(words(seen, str(i), required=True, most=MAX_ITEM) for i in range(len(evidence))),
        verdict=read.text("verdict", words=tuple(review.ACTIONS_OF)),
        action=read.text("action", words=tuple(a for actions in review.ACTIONS_OF.values() for a in actions)),
    )


def words(read: Reader, key: str, *, required: bool, most: int = MAX_WORDS) -> str:
    """Free text: bounded, without control characters, and not only spaces.

    Raises:
        Invalid: If it is none of that.
    """
    text = read.text(key, required=required, most=most) or ""
    text = text.replace("\r\n", "\n").strip()
    if any(ord(c) < 32 and c not in "\n\t" for c in text):
        raise Invalid(f"{read.name(key)} holds control characters", field=read.name(key))
    if required and not text:
        raise Invalid(f"{read.name(key)} must not be empty", field=read.name(key))
    return text


def refuse_unknown(body: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """A misspelt field must not be taken for one that was left out.

    Raises:
        UnknownField: Naming the first.
    """
    for name in body:
        if name not in known:
            raise UnknownField(f"{name:.80} is no field here; known: {', '.join(known)}", field=name[:80])


def standing(stands: Stands) -> dict[str, Any]:
    """What stands, as JSON."""
    return {**asdict(stands), "at": moment(stands.at)}


def moments(row: Mapping[str, Any], *names: str) -> dict[str, str | None]:
    """Times of a row as ISO 8601 in UTC."""
    return {name: moment(row[name]) for name in names}


def moment(at: float | None) -> str | None:
    """Epoch seconds as ISO 8601 in UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
