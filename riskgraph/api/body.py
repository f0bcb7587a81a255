"""Reading a request body: size and depth are checked before anything is parsed."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any

import msgspec
from starlette.requests import Request

from riskgraph.core.errors import BadRequest, Invalid, TooLarge
from riskgraph.core.sensitive import objects

# Possessive: an unterminated string of escaped quotes must not cost quadratic time.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")
_SQUARE = bytes.maketrans(b"{}", b"[]")
MAX_NAMES = 2_000


def described(schema: dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    """A required body, as the OpenAPI of a route that reads its body itself tells it."""
    return {"requestBody": {"required": True, "content": {media: {"schema": schema}}}}


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The raw body.

    Raises:
        TooLarge: As soon as more than ``max_bytes`` are announced or received.
    """
    too_large = TooLarge(f"the body is larger than {max_bytes} bytes")
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > max_bytes:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def parse_body(raw: bytes, max_depth: int) -> dict[str, Any]:
    """Decode a JSON object of bounded depth.

    Raises:
        BadRequest: Not UTF-8 JSON, too deep, too many names, or not an object.
        Invalid: A field is given twice.
    """
    names = check_shape(raw, max_depth)
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as failure:
        body = _decode_leniently(raw, failure)
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    if sum(map(len, objects(body))) != names:
        _refuse_repeats(raw)
    return body


def check_shape(raw: bytes, max_depth: int) -> int:
    """Check depth and number of names before parsing; return the number of names.

    Raises:
        BadRequest: If either is above its limit.
    """
    bare = _without_strings(raw)
    names = bare.count(b":")
    if names > MAX_NAMES:
        raise BadRequest(f"the body has more than {MAX_NAMES} names")
    _check_depth(bare, max_depth)
    return names


def check_depth(raw: bytes, max_depth: int) -> None:
    """Check how deep JSON is nested before parsing it.

    Raises:
        BadRequest: If that is above the limit.
    """
    _check_depth(_without_strings(raw), max_depth)


def _without_strings(raw: bytes) -> bytes:
    # without escapes every second piece between quotes is outside of strings
    return _STRINGS.sub(b"", raw) if b"\\" in raw else b"".join(raw.split(b'"')[::2])


def _check_depth(bare: bytes, max_depth: int) -> None:
    if _is_deeper(bare.translate(_SQUARE, _NOT_BRACKETS), max_depth):
        raise BadRequest(f"the body is nested deeper than {max_depth} levels")


def _is_deeper(brackets: bytes, max_depth: int) -> bool:
    left = brackets
    for _ in range(max_depth):  # each round takes off the innermost level
        left = left.replace(b"[]", b"")
        if not left:
            return False
    depths = accumulate(1 if bracket == b"["[0] else -1 for bracket in brackets)
    return max(depths, default=0) > max_depth


def _decode_leniently(raw: bytes, failure: Exception) -> Any:
    """NaN and huge numbers are no JSON, but the answer should name the field that has them."""
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False).encode()  # half a character (a lone surrogate) fails here
        return body
    except (ValueError, RecursionError):
        raise BadRequest(f"the body is not JSON in UTF-8: {failure}") from None


def _refuse_repeats(raw: bytes) -> None:
    """Fewer names decoded than written: one of them was written twice."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = [key for key, _ in items]
        for key in seen:
            if seen.count(key) > 1:
                raise Invalid(f"{key} is given twice in one object", field=key)
        return dict(items)

    json.loads(raw, object_pairs_hook=pairs)
