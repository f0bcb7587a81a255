"""A service beside a Neo4j server: what it answers and tells while nobody is there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.core.errors import Invalid, StorageUnavailable
from riskgraph.governance.keys import create_key
from riskgraph.settings import Settings
from tests.api.conftest import order
from tests.models.helpers import random_model


@pytest.fixture
def settings(tmp_path):
    pytest.importorskip("neo4j", reason="the driver needs the extra neo4j")
    random_model(tmp_path / "model", seed=3)
    asked = {"home": tmp_path / "home", "model": tmp_path / "model", "store_url": "bolt://127.0.0.1:1"}
    return replace(Settings(), deadline_ms=60_000, **asked)


def test_a_server_that_is_not_there_costs_no_order_anything_and_the_page_tells(settings):
    service = bootstrap.open_service(settings, bootstrap.demo_profile())
    with bootstrap.open_keys(settings) as store:
        key = create_key(store, roles=["checkout"], org="m-17", per_second=10_000)
    with TestClient(create_app(service)) as client:
        answer = client.post("/v1/decisions", json=order(), headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        assert (answer.json()["context"], answer.json()["degraded"]) == ("local", False)
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["ready"]
        assert ready.json()["neo4j"]["breaker"] == "open"
        schema = client.get("/openapi.json").json()["paths"]["/readyz"]["get"]["responses"]["200"]
        import jsonschema

        described = schema["content"]["application/json"]["schema"]
        assert set(described["properties"]["neo4j"]["properties"]) == set(ready.json()["neo4j"])
        jsonschema.Draft202012Validator(described).validate(ready.json())


def test_readiness_is_told_where_the_journal_cannot_be_read_and_no_decision_waits_for_that(
    settings, monkeypatch
):
    service = bootstrap.open_service(settings, bootstrap.demo_profile())
    asked = []

    def unreadable():
        with suppress(RuntimeError):
            asked.append(asyncio.get_running_loop())
        asked.append("journal")
        raise StorageUnavailable("the disk is gone")

    monkeypatch.setattr(service.store, "shared_state", unreadable)
    with TestClient(create_app(service)) as client:
        ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "problems": []})
    assert asked == ["journal"]  # no loop ran on the thread that asked


def test_commands_work_on_the_journal(settings):
    bootstrap.open_service(settings, bootstrap.demo_profile()).close()
    assert (settings.home / "riskgraph.db").exists()
    assert bootstrap.verify_log(settings).problems == ()
    with bootstrap.open_keys(settings) as store:
        assert store.path == settings.home / "riskgraph.db"


def test_a_policy_that_is_none_stops_the_start(settings):
    with pytest.raises(Invalid, match="RISKGRAPH_NEO4J_NODES"):
        bootstrap.open_service(replace(settings, neo4j_nodes="some"), bootstrap.demo_profile())


def test_a_server_elsewhere_without_credentials_stops_the_start(settings):
    with pytest.raises(Invalid, match="RISKGRAPH_NEO4J_USER"):
        bootstrap.open_service(replace(settings, store_url="neo4j://db"), bootstrap.demo_profile())
