"""Canonical JSON (RFC 8785): the bytes that digests and signatures are made over."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_MAX_SAFE_INTEGER = 2**53 - 1
_WORDS = {None: "null", True: "true", False: "false"}
_quoted = json.JSONEncoder(ensure_ascii=False).encode


def canonical_json(value: Any) -> bytes:
    """Serialise a JSON value as RFC 8785 says: sorted names, no spaces, numbers as ECMAScript writes them.

    Raises:
        ValueError: If the value holds NaN, an infinity or an integer that a double cannot hold.
        TypeError: If it holds something that JSON has no word for.
    """
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode()


def _write(value: Any, out: list[str]) -> None:
    if isinstance(value, str):
        out.append(_quoted(value))
    elif value is None or isinstance(value, bool):
        out.append(_WORDS[value])
    elif isinstance(value, int):
        if abs(value) > _MAX_SAFE_INTEGER:
            raise ValueError(f"{value} is no safe integer (RFC 8785, section 3.2.2.3)")
        out.append(str(int(value)))
    elif isinstance(value, float):
        out.append(number(value))
    elif isinstance(value, Mapping):
        before = "{"
        for name in sorted(value, key=_utf16):
            out.append(f"{before}{_quoted(name)}:")
            _write(value[name], out)
            before = ","
        out.append("}" if value else "{}")
    elif isinstance(value, list | tuple):
        before = "["
        for item in value:
            out.append(before)
            _write(item, out)
            before = ","
        out.append("]" if value else "[]")
    else:
        raise TypeError(f"JSON has no {type(value).__name__}")


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be")


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
