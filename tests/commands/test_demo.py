"""What the demo leaves behind works after it has ended."""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

pytest.importorskip("pyarrow")

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.cli import app
from riskgraph.commands import serve
from riskgraph.commands.demo_steps import serve_command
from riskgraph.governance.keys import create_key
from riskgraph.settings import Settings

ORDER = json.loads((Path(__file__).parents[1] / "golden/order.json").read_text())


def report_of(settings: Settings) -> dict:
    """A shopper's report, from a service that has ended since, as the demo's has."""
    profile = bootstrap.demo_profile()
    with bootstrap.open_keys(settings) as store:
        key = create_key(store, roles=["admin"], org=profile.data["merchant_id"], per_second=10_000)
    body = copy.deepcopy(ORDER) | {"merchant_id": profile.data["merchant_id"]}
    with TestClient(create_app(bootstrap.open_service(settings, profile))) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        decision = client.post("/v1/decisions", json=body).json()
        return client.get(f"/v1/decisions/{decision['decision_id']}/report").json()


def test_the_command_that_the_demo_ends_with_makes_its_links_work(tmp_path, monkeypatch):
    settings = bootstrap.simulated_settings(tmp_path / "out of the way" / "home")
    report = report_of(settings)
    words = shlex.split(serve_command(settings))
    variables = dict(word.split("=", 1) for word in words if word.startswith("RISKGRAPH_"))
    asked = words[len(variables) + 1 :]
    served = []
    monkeypatch.setattr(serve, "run", lambda *given: served.append(given))
    # Whatever else is set there, as the user's own service has it.
    elsewhere = {"RISKGRAPH_HOME": "/nowhere", "RISKGRAPH_SECRETS": "/nowhere", "RISKGRAPH_PORT": "9"}
    with patch.dict("os.environ", elsewhere | variables):
        ended = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert ended.exit_code == 0
    ((given, profile, *_),) = served
    links = [report["human_review"]["url"], report["integrity"]["verify_url"]]
    assert {urlsplit(link).netloc for link in links} == {f"{given.host}:{given.port}"}
    with TestClient(create_app(bootstrap.open_service(given, profile))) as client:
        assert [client.get(urlsplit(link).path).status_code for link in links] == [200, 200]
        assert client.post("/v1/verify", json=report).json()["result"] == "holds"
