"""A real service over a real store, with a random model, behind Starlette's test client."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.governance.keys import create_key
from riskgraph.settings import Settings
from tests.models.helpers import random_model, random_tree_model

ORDER = json.loads((Path(__file__).parents[1] / "golden/order.json").read_text())


@dataclass
class Shop:
    """A client with keys, and what a test wants to look into."""

    client: TestClient
    service: Any
    keys: dict[str, str]
    settings: Settings

    def headers(self, role: str = "checkout") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}

    def decide(self, body: dict[str, Any], role: str = "checkout", **headers: str):
        return self.client.post("/v1/decisions", json=body, headers=self.headers(role) | headers)


def order(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(ORDER) | changes


@pytest.fixture
def shop(tmp_path):
    random_model(tmp_path / "model", seed=3)
    yield from open_shop(tmp_path)


@pytest.fixture
def tree_shop(tmp_path):
    random_tree_model(tmp_path / "model", seed=3)
    yield from open_shop(tmp_path)


def open_shop(tmp_path):
    """A shop that serves the model in ``tmp_path``."""
    settings = replace(Settings(), home=tmp_path / "home", model=tmp_path / "model", deadline_ms=60_000)
    service = bootstrap.open_service(settings, bootstrap.demo_profile())
    with bootstrap.open_keys(settings) as store:
        keys = {
            role: create_key(store, roles=[role], org="m-17", per_second=10_000)
            for role in ("checkout", "compliance", "auditor", "fraud_team", "admin")
        }
        keys["other"] = create_key(store, roles=["admin"], org="m-99", per_second=10_000)
        keys["slow"] = create_key(store, roles=["checkout"], org="m-17", per_second=2)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield Shop(client, service, keys, settings)


@pytest.fixture
def sdk(shop):
    from tests.support.sdk import Sdk

    return Sdk(shop)
