"""A k-anonymous release of training data: the only thing that training may see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from riskgraph.core.errors import CheckFailed
from riskgraph.core.units import LEAST_K, MAX_COMPONENT_SHARE, MIN_COMPONENTS
from riskgraph.sandbox.audit import AUDIT, verify_copy
from riskgraph.sandbox.draw import ReleasedRows
from riskgraph.sandbox.files import CENTROIDS, ROWS, TABLES, StoredRows, count_rows, file_sha256, read_table
from riskgraph.sandbox.manifest import SCHEMA
from riskgraph.sandbox.measures import size_histogram
from riskgraph.sandbox.partition import MAX_UNIT_SHARE

if TYPE_CHECKING:
    from riskgraph.ports import Verifier

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
_OPENED = object()


def check_certificate(certificate: Mapping[str, Any]) -> None:
    """Check both counts of a certificate against its k.

    Raises:
        CheckFailed: If a count does not reach what k asks for, or the two counts disagree.
    """
    k = certificate["k"]
    if k < LEAST_K:
        raise CheckFailed(f"the certificate is for k = {k}, at least {LEAST_K} is asked", field="k")
    for name, count in (("partition", certificate), ("independent", certificate["independent"])):
        # Shares are negated, so that every line reads "at least".
        limits = (
            ("min_units", count["min_units"], k),
            ("min_components", count["min_components"], MIN_COMPONENTS),
            ("max_component_share", -count["max_component_share"], -MAX_COMPONENT_SHARE),
            ("max_unit_share", -count["max_unit_share"], -MAX_UNIT_SHARE),
        )
        for field, got, least in limits:
            if got < least:
                # not how far off it is: the refusal goes on record, and the group may have few persons
                raise CheckFailed(
                    f"certificate: {field} does not keep to {abs(least):g} by the {name} count",
                    field=f"certificate.{field}",
                )
    cells = certificate["independent"].get("min_cell_units", 0)
    if cells < k:
        raise CheckFailed(
            f"certificate: a released cell stands for fewer than {k} persons by the independent count, or "
            "cells were not counted",
            field="certificate.min_cell_units",
        )
    same = ("groups", "min_units", "min_components", "min_rows")
    for field in same:
        if certificate[field] != certificate["independent"][field]:
            raise CheckFailed(
                f"certificate: the two counts of {field} disagree", field=f"certificate.{field}"
            )


@dataclass(frozen=True, init=False)
class Release:
    """A verified release. :meth:`open` is the only way to get one.

    Attributes:
        path: Its folder.
        manifest: The signed manifest.
        stored: Drawn training rows where they lie, to be read column by column.
    """

    path: Path
    manifest: Mapping[str, Any]
    stored: StoredRows

    def __init__(
        self, path: Path, manifest: Mapping[str, Any], stored: StoredRows, *, token: object = None
    ) -> None:
        # A type that cannot be forged by accident is what keeps raw rows out of training.
        if token is not _OPENED:
            raise TypeError("a Release is made by Release.open(path, verifier) only")
        for name, value in (("path", path), ("manifest", manifest), ("stored", stored)):
            object.__setattr__(self, name, value)

    @classmethod
    def open(cls, path: Path, verifier: Verifier) -> Release:
        """Verify a release; its rows are read when they are asked for.

        Args:
            path: Folder of the release.
            verifier: Checks the manifest's signature.

        Raises:
            CheckFailed: If the signature, a file's digest, the certificate or the audit record does
                not hold; what failed is named.
        """
        path = Path(path)
        manifest = _verified_manifest(path, verifier)
        _check_files(path, manifest["files"])
        verify_copy(path / AUDIT, verifier)
        check_certificate(manifest["certificate"])
        _check_centroids(path, manifest["certificate"])
        entry = manifest["files"][ROWS]
        if count_rows(path) != entry["rows"]:
            raise CheckFailed(f"{ROWS} does not have the rows that the manifest names", field=ROWS)
        return cls(path, manifest, StoredRows(path / ROWS, entry["sha256"]), token=_OPENED)

    @cached_property
    def rows(self) -> ReleasedRows:
        """All drawn training rows, in memory: about 1.2 kB each."""
        return self.stored.all()

    @property
    def release_id(self) -> str:
        return str(self.manifest["release_id"])

    @property
    def provenance(self) -> str:
        """``simulated`` or ``merchant``."""
        return str(self.manifest["provenance"])

    @property
    def k(self) -> int:
        return int(self.manifest["certificate"]["k"])

    @property
    def certificate(self) -> Mapping[str, Any]:
        certificate: Mapping[str, Any] = self.manifest["certificate"]
        return certificate


def _verified_manifest(path: Path, verifier: Verifier) -> dict[str, Any]:
    try:
        # The very bytes that were signed are parsed: nothing can change between check and use.
        data, signature = (path / MANIFEST).read_bytes(), (path / SIGNATURE).read_bytes()
    except OSError as error:
        raise CheckFailed(f"{path.name} is no release: {error.strerror}", field=MANIFEST) from error
    if not verifier.verify(data, signature):
        raise CheckFailed(f"the signature of {MANIFEST} does not hold", field=SIGNATURE)
    manifest: dict[str, Any] = json.loads(data)
    if manifest.get("schema") != SCHEMA:
        raise CheckFailed(f"unknown schema {manifest.get('schema')!r}", field=MANIFEST)
    return manifest


def _check_files(path: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    expected = {*TABLES, AUDIT}
    # Also a file too many is refused: a raw table could be lying among the released ones.
    found = {p.name for p in path.iterdir()} - {MANIFEST, SIGNATURE}
    if set(files) != expected or found != expected:
        odd = sorted((found ^ expected) | (set(files) ^ expected))[0]
        raise CheckFailed(f"{odd} is missing, or does not belong to a release", field=odd)
    for name, entry in files.items():
        if file_sha256(path / name) != entry["sha256"]:
            raise CheckFailed(f"the digest of {name} does not hold", field=name)


def _check_centroids(path: Path, certificate: Mapping[str, Any]) -> None:
    """The groups that were released are those that were counted."""
    groups = read_table(path, CENTROIDS)
    if len(groups["units"]) != certificate["groups"] or min(groups["units"]) != certificate["min_units"]:
        raise CheckFailed(f"{CENTROIDS} does not show the certified groups", field=CENTROIDS)
    label, units, components = (np.array(groups[name]) for name in ("label", "units", "components"))
    if size_histogram(label, units, components, certificate["k"]) != certificate.get("size_histogram"):
        raise CheckFailed(f"{CENTROIDS} does not show the certified sizes", field=CENTROIDS)
