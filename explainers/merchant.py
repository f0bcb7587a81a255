"""merchant.toml: the facts about a merchant that every report must state."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from riskgraph.core.errors import Invalid
from riskgraph.core.order import JURISDICTIONS
from riskgraph.core.review import ANSWER_DAYS
from riskgraph.explainers.texts import LANGUAGES, table

DATA_CLASSES = ("contract_record", "optional")
GROUNDS = ("trade_secret", "third_party", "fraud_prevention")
WITHHELD = tuple(row["field"] for row in table("withheld")["fields"])
_BILINGUAL = (
    "controller.name",
    "controller.address",
    "dpo.name",
    "purpose.text",
    "art22.text",
    "human_review.who",
    "human_review.authority",
    "transfers.text",
    *(f"legal_basis.{j}.{c}" for j in JURISDICTIONS for c in DATA_CLASSES),
    *(f"retention.{j}.{c}" for j in JURISDICTIONS for c in (*DATA_CLASSES, "report")),
    *(f"complaint.{j}.{part}" for j in JURISDICTIONS for part in ("authority", "court")),
    *(f"withheld.{field}.approver" for field in WITHHELD),
)
_PLAIN = (
    "merchant_id",
    "controller.contact",
    "dpo.contact",
    "rights.url",
    "rights.contact",
    *(f"rights.answer_days.{j}" for j in JURISDICTIONS),
    "human_review.deadline_hours",
    "recipients",
    "delivered_sources",
    "degraded_policy.none_under",
    *(f"withheld.{field}.date" for field in WITHHELD),
)
RECIPIENT = {"name": LANGUAGES, "contact": (), "purpose": LANGUAGES, "method": LANGUAGES, "data": LANGUAGES}
_WORDS = {
    "provenance": ("simulated", "merchant"),
    "mode": ("enforce", "observe"),
    "art22.ground": ("contract", "law", "consent"),
    "degraded_policy.otherwise": ("hold",),
    **{f"withheld.{field}.ground": GROUNDS for field in WITHHELD},
}


@dataclass(frozen=True)
class MerchantProfile:
    """A merchant's duties of information (GDPR Art. 13, 14, 22, 27; PIPL Art. 17, 24, 52, 53).

    A profile that lacks mandatory fields loads, so that a report can still be made and says what is
    not stated; :meth:`problems` lists them and the service is not ready while there are any.
    """

    data: Mapping[str, Any]

    @classmethod
    def load(cls, source: str | Path) -> MerchantProfile:
        """Read a profile from a path, or from TOML text.

        Raises:
            Invalid: If it is no TOML, or a field has an unknown word or the wrong type; the field
                is named.
        """
        is_text = isinstance(source, str) and "\n" in source
        try:
            text = str(source) if is_text else Path(source).read_text(encoding="utf-8")
            data = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
            raise Invalid(f"merchant.toml cannot be read: {wrong}", field="merchant") from wrong
        except OSError as wrong:
            raise Invalid(f"merchant.toml cannot be opened: {source}", field="merchant") from wrong
        profile = cls(data)
        profile._check_words()
        profile._check_days()
        return profile

    @classmethod
    def demo(cls) -> MerchantProfile:
        """The simulated merchant of the demo."""
        return cls.load(_data("demo-merchant.toml"))

    def get(self, path: str) -> Any:
        """Value at a dotted path, or None."""
        value: Any = self.data
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def text(self, path: str, lang: str) -> str | None:
        """Text at a dotted path in ``zh`` or ``en``; None where the merchant does not state it."""
        value = self.get(path)
        if isinstance(value, Mapping):
            value = value.get(lang)
        return None if value is None or value == "" else str(value)

    def problems(self) -> list[str]:
        """One sentence for each mandatory field that is missing; empty when ready."""
        missing = [path for path in (*_WORDS, *_PLAIN) if self.get(path) in (None, "", [], {})]
        missing += [
            f"{path}.{lang}" for path in _BILINGUAL for lang in LANGUAGES if not self._has(path, lang)
        ]
        missing += self._missing_of_recipients()
        return [f"merchant.toml: {path} is mandatory and missing" for path in missing]

    def require(self) -> MerchantProfile:
        """The profile itself.

        Raises:
            Invalid: Naming the first mandatory field that is missing.
        """
        for problem in self.problems():
            raise Invalid(problem, field=problem.split()[1])
        return self

    @property
    def simulated(self) -> bool:
        """True unless the file says that this is a real merchant."""
        return bool(self.get("provenance") != "merchant")

    @property
    def mode(self) -> str:
        return str(self.get("mode") or "observe")

    @property
    def review_hours(self) -> float:
        """Hours within which a person looks at an order on hold; a day where the file does not say."""
        return float(self.get("human_review.deadline_hours") or 24)

    def answer_days(self, jurisdiction: str) -> int:
        """Days within which requests and objections are answered; never more than the law's period.

        Reports promise the same days as the deadlines of objections are counted by.
        """
        return int(self.get(f"rights.answer_days.{jurisdiction}") or ANSWER_DAYS)

    @property
    def contest_link_days(self) -> int:
        """Days from a decision on during which the link in its report takes objections."""
        return int(self.get("contest.link_days") or 365)

    def degraded_action(self, amount: float, currency: str) -> str:
        """What the checkout does without an automated score: ``none`` under an amount, else ``hold``."""
        limit = (self.get("degraded_policy.none_under") or {}).get(currency, 0)
        return "none" if amount < float(limit) else "hold"

    @property
    def recipients(self) -> list[MerchantProfile]:
        """Who else gets data, each with ``name``, ``contact``, ``purpose``, ``method`` and ``data``."""
        return [MerchantProfile(row) for row in self.get("recipients") or []]

    def _missing_of_recipients(self) -> list[str]:
        """What PIPL Art. 23 asks for and is not stated; recipients are counted from 1."""
        paths = [(part, lang) for part, langs in RECIPIENT.items() for lang in langs or (None,)]
        return [
            f"recipients.{number}.{part}" + (f".{lang}" if lang else "")
            for number, row in enumerate(self.recipients, start=1)
            for part, lang in paths
            if not (row._has(part, lang) if lang else row.get(part))
        ]

    def _has(self, path: str, lang: str) -> bool:
        value = self.get(path)
        return isinstance(value, Mapping) and bool(value.get(lang))

    def _check_days(self) -> None:
        answers = [(f"rights.answer_days.{j}", ANSWER_DAYS) for j in JURISDICTIONS]
        for path, most in (*answers, ("contest.link_days", 3650)):
            value = self.get(path)
            if value is not None and (type(value) is not int or not 1 <= value <= most):
                raise Invalid(f"merchant.toml: {path} must be a whole number from 1 to {most}", field=path)

    def _check_words(self) -> None:
        for path, words in _WORDS.items():
            value = self.get(path)
            if value is not None and value not in words:
                raise Invalid(f"merchant.toml: {path} must be one of {', '.join(words)}", field=path)
        for field in WITHHELD:
            self._check_date(f"withheld.{field}.date")
        for path, kind in (
            ("recipients", list),
            ("delivered_sources", list),
            ("degraded_policy.none_under", dict),
            # Optional; what it may say is the sandbox's to judge, which is not part of every install.
            ("training", dict),
        ):
            value = self.get(path)
            if value is not None and not isinstance(value, kind):
                word = "list" if kind is list else "table"
                raise Invalid(f"merchant.toml: {path} must be a {word}", field=path)

    def _check_date(self, path: str) -> None:
        value = self.get(path)
        try:
            if value not in (None, ""):
                date.fromisoformat(value)
        except (ValueError, TypeError) as wrong:
            raise Invalid(
                f'merchant.toml: {path} must be a date in quotes such as "2026-10-01", got {value}',
                field=path,
            ) from wrong


def _data(name: str) -> str:
    return resources.files("riskgraph.explainers").joinpath("data", name).read_text(encoding="utf-8")
