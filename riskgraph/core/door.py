"""The door: raw identifiers become keyed hashes and coarse classes, once, and are then dropped.

Data minimisation and pseudonymisation: GDPR Art. 5(1)(c), 25, 32(1)(a); PIPL Art. 6, 51(3).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

DIGEST_BYTES = 16
BAND_COUNT = 16
ROWS_PER_BAND = 2
KNOWN_ADDRESSES = 16_384
_PERMUTATIONS = np.random.default_rng(20260101)
_ROWS = (BAND_COUNT * ROWS_PER_BAND, 1)
_MULTIPLIERS = _PERMUTATIONS.integers(1, 2**63, _ROWS, dtype=np.uint64) | np.uint64(1)
_SHIFTS = _PERMUTATIONS.integers(0, 2**63, _ROWS, dtype=np.uint64)
_HASH = np.dtype("<u8")

_PART_PATTERNS = (
    re.compile(r"省|自治区|特别行政区|北京|上海|天津|重庆|广西|内蒙古|宁夏|新疆|西藏"),
    re.compile(r"市|自治州|盟|地区"),
    re.compile(r"[区县旗镇乡]"),
    re.compile(r"[路街道巷弄村]|胡同|社区|小区|花园|广场"),
    re.compile(r"\d+\s*(号|栋|幢|座|室|单元|楼|#)|[A-Za-z]座"),
)
_HAN = re.compile(r"[一-鿿]")
_VIRTUAL_PREFIXES = ("162", "165", "167", "170", "171")
_INTERNATIONAL = re.compile(r"\s*(\+|00)")
_NO_DIGIT = re.compile("[^0-9]")
_MOBILE, _MOBILE_WITH_CODE = re.compile("1[0-9]{10}"), re.compile("861[0-9]{10}")
# ITU-T E.164: China, and the countries where the GDPR applies (the European Economic Area)
_COUNTRY_CODES = {
    "CN": ("86",),
    "EU": tuple(
        "30 31 32 33 34 351 352 353 354 356 357 358 359 36 370 371 372 385 386 39 40 420 421 423 43 45 46 "
        "47 48 49".split()
    ),
}


def normalise_text(text: str) -> str:
    """NFKC, lower case, no spaces or punctuation: spelling noise that means nothing."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return "".join(filter(str.isalnum, folded))


def cell_of(lat: float, lon: float) -> tuple[int, int]:
    """The 0.1 degree cell of a position (about 10 km), as whole tenths, floor."""
    return int(lat * 10 // 1), int(lon * 10 // 1)


def address_normality(text: str) -> float | None:
    """B111: share of the five address parts found, or None for an address outside China's form."""
    if not _HAN.search(text):
        return None
    found = sum(pattern.search(text) is not None for pattern in _PART_PATTERNS)
    return found / len(_PART_PATTERNS)


def _digits(text: str) -> str:
    return _NO_DIGIT.sub("", unicodedata.normalize("NFKC", text))


def _phone_digits(text: str) -> str:
    """One spelling of a number: no 00, and no 86 before a Chinese mobile number."""
    digits = _digits(text).removeprefix("00")
    return digits[2:] if _MOBILE_WITH_CODE.fullmatch(digits) else digits


@lru_cache(maxsize=65_536)
def _shingle_hash(key: bytes, shingle: str) -> bytes:
    """Keyed hash of one bigram; a language has few, so most are hashed once."""
    return hashlib.blake2b(shingle.encode(), digest_size=8, key=key[:32]).digest()


@dataclass(frozen=True, slots=True, repr=False)
class Door:
    """Keyed hashing at the door. The key comes from the settings and is never stored beside data."""

    key: bytes
    code_receiving_prefixes: tuple[str, ...] = ()
    _mac: hmac.HMAC = field(init=False, compare=False)
    _known: dict[bytes, tuple[int, ...]] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.key) < 32:
            raise ValueError(f"the door key has {len(self.key)} bytes, expected at least 32")
        object.__setattr__(self, "_mac", hmac.new(self.key, digestmod=hashlib.sha256))

    def __reduce__(self) -> tuple[type[Door], tuple[bytes, tuple[str, ...]]]:
        # A keyed hash that is set up cannot go to another process; the key can, by a pipe and never by disk.
        return type(self), (self.key, self.code_receiving_prefixes)

    def digest(self, kind: str, text: str) -> bytes:
        """First 16 bytes of HMAC-SHA-256 over the kind and the text."""
        mac = self._mac.copy()
        mac.update(f"{kind}\0{text}".encode())
        return mac.digest()[:DIGEST_BYTES]

    def body(self, raw: bytes) -> str:
        """Keyed digest of a request's bytes: without the key nobody can test a guess against it."""
        mac = self._mac.copy()
        mac.update(b"body\0" + raw)
        return mac.hexdigest()

    def address(self, text: str) -> tuple[bytes, tuple[int, ...]]:
        """Digest of an address text, and its bands; those of late addresses are kept by digest."""
        clean = normalise_text(text)
        digest = self.digest("address", clean)
        bands = self._known.get(digest)
        if bands is None:
            if len(self._known) >= KNOWN_ADDRESSES:
                self._known.clear()
            bands = self._known[digest] = self._bands(clean)
        return digest, bands

    def phone(self, text: str) -> bytes:
        return self.digest("phone", _phone_digits(text))

    def network(self, text: str) -> bytes:
        """HMAC of the /24 (IPv4) or /48 (IPv6) network; a text that is no address is hashed whole."""
        try:
            address = ipaddress.ip_address(text.strip())
        except ValueError:
            return self.digest("ip", text)
        if address.version == 4:
            first, second, third, _ = address.packed
            return self.digest("ip", f"{first}.{second}.{third}.0/24")
        return self.digest("ip", str(ipaddress.ip_network(f"{address}/48", strict=False)))

    def _bands(self, clean: str) -> tuple[int, ...]:
        """Keyed MinHash bands of an address text's character bigrams (B112, B132)."""
        shingles = {clean[i : i + 2] for i in range(max(1, len(clean) - 1))}
        digests = b"".join([_shingle_hash(self.key, s) for s in shingles])
        rows = _MULTIPLIERS * np.frombuffer(digests, dtype=_HASH)
        rows += _SHIFTS
        least = [value >> 32 for value in np.minimum.reduce(rows, axis=1).tolist()]
        pairs = zip(least[::ROWS_PER_BAND], least[1::ROWS_PER_BAND], strict=True)
        return tuple([(31 * low + high) & 0xFFFFFFFF for low, high in pairs])

    def phone_class(self, text: str, jurisdiction: str) -> str:
        """B097 from the raw number, before it is hashed."""
        codes = _COUNTRY_CODES.get(jurisdiction, ())
        abroad = _INTERNATIONAL.match(text)
        if abroad and codes and not _digits(text).removeprefix("00").startswith(codes):
            return "foreign"
        digits = _phone_digits(text)
        if digits.startswith(self.code_receiving_prefixes or ("\0",)):
            return "code_receiving"
        if jurisdiction == "CN":
            if digits.startswith(_VIRTUAL_PREFIXES):
                return "virtual"
            return "mobile" if _MOBILE.fullmatch(digits) else "landline"
        return "mobile" if len(digits) >= 9 else "landline"
