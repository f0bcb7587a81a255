"""Bytes of the store's blobs: what is kept of an order, the report record."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from struct import Struct
from typing import Any

import msgspec
import numpy as np

from riskgraph.core.door import BAND_COUNT
from riskgraph.core.outcome import Outcome
from riskgraph.core.past import FACTS, PastOrder
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
    list[Outcome],
]
_BANDS = Struct(f"<{BAND_COUNT}I")
_facts_of = attrgetter(*FACTS)


def _plain(value: Any) -> Any:
    """Numbers that came out of numpy."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot be stored")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
# One form for one value: a leaf of the log is made over these bytes.
_canonical = msgspec.msgpack.Encoder(enc_hook=_plain, order="deterministic")
_plain_decoder = msgspec.msgpack.Decoder(tuple[bytes, bytes, bytes])
_facts_decoder = msgspec.msgpack.Decoder(_Facts)
_record_decoder = msgspec.msgpack.Decoder(DecisionReport)


def encode_past(past: PastOrder) -> bytes:
    """What later contexts read of an order, with the outcomes on record, in the order of its fields."""
    return _encoder.encode(_facts_of(past))


def decode_past(facts: bytes) -> PastOrder:
    """Inverse of :func:`encode_past`."""
    return PastOrder(*_facts_decoder.decode(facts))


def encode_bands(bands: tuple[int, ...]) -> bytes:
    """MinHash bands of an address, four bytes each."""
    return _BANDS.pack(*bands)


def decode_bands(packed: bytes) -> tuple[int, ...]:
    """Inverse of :func:`encode_bands`."""
    return _BANDS.unpack(packed)


def encode_record(report: DecisionReport) -> bytes:
    """The report record in its one form: names in order, numbers in their shortest."""
    return _canonical.encode(report)


def decode_record(data: bytes) -> DecisionReport:
    """Inverse of :func:`encode_record`."""
    return _record_decoder.decode(data)


def encode_plain(nonce: bytes, record: bytes, answer: bytes) -> bytes:
    """What is sealed of a decision."""
    return _encoder.encode((nonce, record, answer))


def decode_plain(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Inverse of :func:`encode_plain`."""
    return _plain_decoder.decode(data)


def encode_row(row: Sequence[Any]) -> bytes:
    """The columns beside sealed bytes, as they are authenticated."""
    return _encoder.encode(row)
