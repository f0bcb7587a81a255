"""Settings from the environment; every value is checked once, at start."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import quote

from riskgraph.core.errors import Invalid
from riskgraph.stores.neo4j.connect import is_neo4j

MAX_PORT = 65_535
_WEB = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
# A thousand pairs ask a model some 200,000 times an order; beyond, one order could take all memory.
MIN_PAIRS, MAX_PAIRS = 2, 1000
MAX_DAYS = 3650
MAX_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Where an installation keeps its data, and how it serves.

    Each field is read from ``RISKGRAPH_<NAME>``; README and ``riskgraph serve --help`` list them.
    """

    home: Path = Path("riskgraph-data")
    secrets: Path | None = None
    store_url: str = ""
    neo4j_user: str = ""
    neo4j_password_file: Path | None = None
    neo4j_nodes: str = "flagged"
    # More than the 365 d that B136 looks back.
    neo4j_days: int = 400
    model: Path | None = None
    merchant: Path | None = None
    tree: Path | None = None
    baseline: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8137
    public_url: str = ""
    deadline_ms: int = 150
    permutation_pairs: int = 4
    max_body_bytes: int = 65_536
    max_depth: int = 8
    max_in_flight: int = 256
    sessions_mib: int = 1024

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment.

        Raises:
            Invalid: If a number is not one or out of range; the variable is named.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for spec in fields(cls):
            name = f"RISKGRAPH_{spec.name.upper()}"
            text = environment.get(name)
            if not text:
                continue
            kind = str(spec.type)
            try:
                values[spec.name] = int(text) if kind == "int" else Path(text) if "Path" in kind else text
            except ValueError:
                raise Invalid(f"{name} must be a whole number, got {text!r}", field=name) from None
        settings = cls(**values)  # type: ignore[arg-type]
        if not 0 <= settings.port <= MAX_PORT:
            raise Invalid(f"RISKGRAPH_PORT must be 0 to {MAX_PORT}", field="RISKGRAPH_PORT")
        if settings.public_url and not _WEB.fullmatch(settings.public_url):
            told = "RISKGRAPH_PUBLIC_URL must be an address such as https://risk.shop.example"
            raise Invalid(told, field="RISKGRAPH_PUBLIC_URL")
        if not MIN_PAIRS <= settings.permutation_pairs <= MAX_PAIRS:
            name, most = "RISKGRAPH_PERMUTATION_PAIRS", MAX_PAIRS
            told = f"{name} must be {MIN_PAIRS} to {most}: of fewer than {MIN_PAIRS} no error can be told"
            raise Invalid(told, field=name)
        if not 1 <= settings.neo4j_days <= MAX_DAYS:
            name = "RISKGRAPH_NEO4J_DAYS"
            raise Invalid(f"{name} must be 1 to {MAX_DAYS}", field=name)
        if not 1 <= settings.sessions_mib <= MAX_MIB:
            raise Invalid(f"RISKGRAPH_SESSIONS_MIB must be 1 to {MAX_MIB}", field="RISKGRAPH_SESSIONS_MIB")
        return settings

    @property
    def secret_folder(self) -> Path:
        """Where door key and signing key lie: never beside the data that they protect."""
        return self.secrets or self.home.with_name(f"{self.home.name}-secrets")

    def contest_address(self, simulated: bool) -> str:
        """Where shoppers reach this service; for a simulated shop the address that it listens on, or none."""
        return self.public_url or (f"http://{self.host}:{self.port}" if simulated else "")

    def verify_address(self, simulated: bool) -> str | None:
        """The page on which reports can be checked; None where shoppers cannot reach this service."""
        address = self.contest_address(simulated)
        return f"{address.rstrip('/')}/verify" if address else None

    @property
    def store(self) -> str:
        """The store's URL; a Neo4j server is named together with the journal beside it."""
        journal = self.home / "riskgraph.db"
        if not self.store_url:
            return f"sqlite:///{journal}"
        server = is_neo4j(self.store_url) and "?" not in self.store_url
        return f"{self.store_url}?journal={quote(str(journal))}" if server else self.store_url
