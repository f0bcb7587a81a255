"""Bytes of the store's blobs: facts of an order, its outcomes, the report record."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from riskgraph.core.outcome import Outcome
from riskgraph.core.past import PastOrder
from riskgraph.core.report import DecisionReport

_Digest = bytes | None
_Facts = tuple[
    str,
    float,
    str,
    _Digest,
    _Digest,
    _Digest,
    _Digest,
    _Digest,
    str | None,
    str,
    float,
    float | None,
    tuple[int, int] | None,
    tuple[int, ...],
    tuple[tuple[bytes, float | None], ...],
    tuple[tuple[str, float | None], ...],
]
_Known = list[tuple[str, str, float, float, str | None, str | None, str | None]]
_facts_of = attrgetter(*(name for name in PastOrder.__slots__ if name != "outcomes"))


def _plain(value: Any) -> Any:
    """Numbers that came out of numpy."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot be stored")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_facts_decoder = msgspec.msgpack.Decoder(_Facts)
_known_decoder = msgspec.msgpack.Decoder(_Known)
_record_decoder = msgspec.msgpack.Decoder(DecisionReport)


def encode_facts(past: PastOrder) -> bytes:
    """Facts of an order, in the order of its slots, without its outcomes."""
    return _encoder.encode(_facts_of(past))


def decode_past(facts: bytes, known: bytes | None) -> PastOrder:
    """An earlier order with the outcomes on record."""
    past = PastOrder(*_facts_decoder.decode(facts))
    if known:
        past.outcomes = [Outcome(row[0], past.key, row[1], *row[2:]) for row in _known_decoder.decode(known)]
    return past


def encode_known(outcomes: Iterable[Outcome]) -> bytes:
    """Outcomes of one order; its key stands beside."""
    return _encoder.encode(
        [
            (o.outcome_id, o.kind, o.effective_at, o.reported_at, o.reason, o.source, o.reverses)
            for o in outcomes
        ]
    )


def encode_record(report: DecisionReport) -> bytes:
    """The report record."""
    return _encoder.encode(report)


def decode_record(data: bytes) -> DecisionReport:
    """Inverse of :func:`encode_record`."""
    return _record_decoder.decode(data)
