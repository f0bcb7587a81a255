"""Canonical JSON (RFC 8785): the bytes that digests and signatures are made over."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

_MAX_SAFE_INTEGER = 2**53 - 1


def canonical_json(value: Any) -> bytes:
    """Serialise a JSON value as RFC 8785 says: sorted names, no spaces, numbers as ECMAScript writes them.

    Raises:
        ValueError: If the value holds NaN, an infinity or an integer that a double cannot hold.
        TypeError: If it holds something that JSON has no word for.
    """
    return "".join(_parts(value)).encode()


def _parts(value: Any) -> Iterator[str]:
    if value is None or isinstance(value, bool | str):
        yield json.dumps(value, ensure_ascii=False)
    elif isinstance(value, int):
        if abs(value) > _MAX_SAFE_INTEGER:
            raise ValueError(f"{value} is no safe integer (RFC 8785, section 3.2.2.3)")
        yield str(int(value))
    elif isinstance(value, float):
        yield number(value)
    elif isinstance(value, Mapping):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        for i, name in enumerate(names):
            yield ("," if i else "{") + json.dumps(name, ensure_ascii=False) + ":"
            yield from _parts(value[name])
        yield "}" if names else "{}"
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield "," if i else "["
            yield from _parts(item)
        yield "]" if value else "[]"
    else:
        raise TypeError(f"JSON has no {type(value).__name__}")


def number(value: float) -> str:
    """A double as ECMAScript writes it (ECMA-262, Number::toString; RFC 8785, section 3.2.2.3).

    Raises:
        ValueError: For NaN and infinities.
    """
    if not math.isfinite(value):
        raise ValueError("Out of range: canonical JSON has no NaN and no infinity")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + ("" if fraction == "0" else fraction)).lstrip("0")
    point = int(exponent or 0) + (len(whole) if whole != "0" else -_leading_zeros(fraction))
    digits = digits.rstrip("0") or "0"
    return sign + _layout(digits, point)


def _leading_zeros(fraction: str) -> int:
    return len(fraction) - len(fraction.lstrip("0"))


def _layout(digits: str, point: int) -> str:
    """``0.digits`` times ten to the power of ``point``."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    power = point - 1
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{tail}e{'+' if power > 0 else '-'}{abs(power)}"
