"""Reading named fields of a JSON object, so that every error names its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from riskgraph.core.errors import Invalid

MAX_TEXT = 512
MAX_ITEMS = 200
_KEY_PARTS = frozenset({"merchant_id", "order_id", "channel_code"})
_NUMBERS = (int, float)
_MONEY = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Reader:
    """Reads named fields of one JSON object; every error names the dotted field."""

    def __init__(self, body: Mapping[str, Any], path: str = "") -> None:
        self.body, self.path = body, path

    def name(self, key: str) -> str:
        return f"{self.path}{key}"

    def child(self, key: str) -> Reader:
        value = self.body.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise Invalid(f"{self.name(key)} must be an object", field=self.name(key))
        return Reader(value, f"{self.name(key)}.")

    def text(
        self, key: str, *, required: bool = False, words: tuple[str, ...] = (), most: int = MAX_TEXT
    ) -> str | None:
        value = self.body.get(key)
        if value is None:
            if required:
                raise Invalid(f"{self.name(key)} is required", field=self.name(key))
            return None
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise Invalid(f"{self.name(key)} must be a text of 1 to {most} characters", field=self.name(key))
        if not value.isascii() and _SURROGATE.search(value):
            raise Invalid(f"{self.name(key)} holds half a character (a lone surrogate)", field=self.name(key))
        if key in _KEY_PARTS and "|" in value:
            raise Invalid(f"{self.name(key)} must not contain '|'", field=self.name(key))
        if words and value not in words:
            raise Invalid(f"{self.name(key)} must be one of {', '.join(words)}", field=self.name(key))
        return value

    def money(self, key: str) -> float | None:
        """A decimal as text, for instance ``"129.00"``, or a finite number."""
        value = self.body.get(key)
        if value is None:
            return None
        if isinstance(value, str) and _MONEY.fullmatch(value):
            return float(value)
        if isinstance(value, _NUMBERS) and not isinstance(value, bool) and abs(value) < 1e12:
            return float(value)
        raise Invalid(f'{self.name(key)} must be an amount such as "129.00"', field=self.name(key))

    def number(self, key: str, low: float, high: float) -> float | None:
        value = self.body.get(key)
        if value is None:
            return None
        good = isinstance(value, _NUMBERS) and not isinstance(value, bool)
        if not good or not low <= value <= high:
            raise Invalid(f"{self.name(key)} must be a number from {low:g} to {high:g}", field=self.name(key))
        return float(value)

    def integer(self, key: str, low: int, high: int, default: int) -> int:
        value = self.body.get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise Invalid(
                f"{self.name(key)} must be a whole number from {low} to {high}", field=self.name(key)
            )
        return value

    def flag(self, key: str) -> bool:
        value = self.body.get(key, False)
        if not isinstance(value, bool):
            raise Invalid(f"{self.name(key)} must be true or false", field=self.name(key))
        return value

    def time(self, key: str, *, required: bool = False) -> datetime | None:
        text = self.text(key, required=required)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise Invalid(
                f"{self.name(key)} must be an ISO 8601 time with an offset, for instance "
                "2026-11-11T12:03:04.567+08:00",
                field=self.name(key),
            )
        if not 1990 <= moment.year <= 2100:
            raise Invalid(f"{self.name(key)} lies outside 1990..2100", field=self.name(key))
        return moment

    def stamp(self, key: str) -> float | None:
        moment = self.time(key)
        return None if moment is None else moment.astimezone(UTC).timestamp()

    def rows(self, key: str) -> list[Reader]:
        value = self.body.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise Invalid(f"{self.name(key)} must be a list of at most {MAX_ITEMS}", field=self.name(key))
        for i, row in enumerate(value):
            if not isinstance(row, Mapping):
                raise Invalid(f"{self.name(key)}[{i}] must be an object", field=f"{self.name(key)}[{i}]")
        return [Reader(row, f"{self.name(key)}[{i}].") for i, row in enumerate(value)]
