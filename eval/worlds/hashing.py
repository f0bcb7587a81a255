"""A world's entities through the door, each distinct one hashed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from riskgraph.core.door import DIGEST_BYTES, Door, address_normality
from riskgraph.core.errors import Invalid
from riskgraph.core.order import Entities

_T = TypeVar("_T")
_Address = tuple[bytes | None, tuple[int, ...], float | None]
_Phone = tuple[bytes | None, str | None]


class _Once(dict[str, _T], Generic[_T]):
    """What the door makes of a text; made once, since a world repeats its entities."""

    def __init__(self, make: Callable[[str], _T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, text: str) -> _T:
        made = self[text] = self._make(text)
        return made


def _from_hex(kind: str, text: str) -> bytes:
    """A keyed hash as a packed world has it.

    Raises:
        Invalid: If it is none; the text is not repeated, for it may be an entity in the raw.
    """
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        told = f"{kind} must be {2 * DIGEST_BYTES} hex digits where manifest.json says that entities.{kind}"
        raise Invalid(f"{told} are hashed", field=kind)
    return digest


class EntityHasher:
    """Does what the door of the service does to raw or opaque entities, with a memory.

    Args:
        door: Keyed hashing.
        kinds: Entity kind to ``raw``, ``opaque`` or ``hashed`` (keyed hashes as hex, taken as they are),
            from the world's manifest.

    Raises:
        Invalid: Its methods, if an entity that is said to be hashed is no keyed hash.
    """

    def __init__(self, door: Door, kinds: Mapping[str, str]) -> None:
        self.door = door
        self._kinds = kinds
        self._hashed = {kind for kind, word in kinds.items() if word == "hashed"}
        raw = {kind for kind, word in kinds.items() if word == "raw"}
        # Account, device and card tokens are hashed whole, opaque or not.
        self._plain = {kind: _Once(self._digest(kind)) for kind in ("account", "device", "card")}
        self._networks = _Once(door.network if "ip" in raw else self._digest("ip"))
        self._addresses = _Once(self._raw_address if "address" in raw else self._opaque_address)
        self._raw_phones = "phone" in raw
        self._phones: dict[str, _Once[_Phone]] = {}

    def _digest(self, kind: str) -> Callable[[str], bytes]:
        if kind in self._hashed:
            return partial(_from_hex, kind)
        return lambda text: self.door.digest(kind, text)

    def _raw_address(self, text: str) -> _Address:
        return *self.door.address(text), address_normality(text)

    def _opaque_address(self, text: str) -> _Address:
        return self._digest("address")(text), (), None

    def _phones_of(self, jurisdiction: str) -> _Once[_Phone]:
        door, digest = self.door, self._digest("phone")
        if not self._raw_phones:
            return _Once(lambda text: (digest(text), None))
        return _Once(lambda text: (door.phone(text), door.phone_class(text, jurisdiction)))

    def plain(self, kind: str, texts: list[str | None]) -> list[bytes | None]:
        """Digests of account, device or card tokens."""
        known = self._plain[kind]
        return [known[text] if text else None for text in texts]

    def addresses(self, texts: list[str | None]) -> list[_Address]:
        """Digest, MinHash bands and completeness; the latter two only for raw text."""
        known = self._addresses
        return [known[text] if text else (None, (), None) for text in texts]

    def phones(self, texts: list[str | None], jurisdictions: list[str]) -> list[_Phone]:
        """Digest and number class; the class only for raw numbers."""
        for word in set(jurisdictions) - self._phones.keys():
            self._phones[word] = self._phones_of(word)
        known = self._phones
        return [
            known[word][text] if text else (None, None)
            for text, word in zip(texts, jurisdictions, strict=True)
        ]

    def networks(self, texts: list[str | None]) -> list[bytes | None]:
        known = self._networks
        return [known[text] if text else None for text in texts]

    def entities(self, column: Callable[[str], list[Any]], devices: list[bool]) -> Iterator[Entities]:
        """Entities of N orders.

        Args:
            column: Gives the N values of a column of a world's orders.
            devices: Whether each order's device may be read: without its purpose it does not exist.
        """
        shown = [text if ok else None for text, ok in zip(column("device"), devices, strict=True)]
        rows = zip(
            self.plain("account", column("account")), self.plain("device", shown),
            self.plain("card", column("card")), column("card_bin"), self.addresses(column("address")),
            self.phones(column("phone"), column("jurisdiction")), self.networks(column("ip")), strict=True,
        )  # fmt: skip
        for account, device, card, card_bin, (address, bands, normality), (phone, word), ip in rows:
            yield Entities(account, device, card, card_bin, address, phone, ip, bands, word, normality)
