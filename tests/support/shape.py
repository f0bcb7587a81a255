"""The shape of a JSON value: its names and types without its values."""

from __future__ import annotations

import json
from typing import Any


def shape(value: Any) -> Any:
    """Names and types; of a list, the shapes that occur in it."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [json.loads(one) for one in sorted({json.dumps(shape(part)) for part in value})]
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | float) else type(value).__name__
