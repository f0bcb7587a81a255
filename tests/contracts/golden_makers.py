"""Makes the golden files that our own code writes, from fixed inputs.

``python -m tests.contracts.golden_makers`` writes them anew after a shape was changed on purpose.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from riskgraph import bootstrap
from riskgraph.core.catalog import Form, catalog
from riskgraph.core.order import parse_outcome
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.eval.worlds import import_ndjson
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_json import render
from riskgraph.governance.keys import create_key
from riskgraph.models.card import card_text
from riskgraph.pipeline import decide
from riskgraph.settings import Settings
from tests.explainers.helpers import random_subgraph, some_record
from tests.models.helpers import random_card, random_model

GOLDEN = Path(__file__).parents[1] / "golden"
ORDER: dict[str, Any] = json.loads((GOLDEN / "order.json").read_text("utf-8"))
OUTCOME: dict[str, Any] = json.loads((GOLDEN / "outcome.json").read_text("utf-8"))
HISTOGRAM = {"n": 120, "bins": [0, 0, 0, 0, 2, 10, 48, 52, 8, 0, 0, 0, 0, 0, 0, 0]}


def node_values() -> dict[str, Any]:
    """For each form, one node with a value on the wire and the components that follow from it."""
    book = catalog()
    context = next(n for n in book if n.form is Form.CONTEXT)
    flag = next(n for n in book if n.form is Form.FLAG)
    values = {
        "number": ("B093", 40),
        "flag": (flag.id, True),
        "class": ("B084", "mouse"),
        "histogram": ("B033", HISTOGRAM),
        "histograms": ("B013", ORDER["signals"]["B013"]),
        "context": (context.id, {name: 2.0 for name in context.components}),
    }
    return {form: {"node": n, "value": v, "components": components(n, v)} for form, (n, v) in values.items()}


def components(node: str, value: Any) -> dict[str, float]:
    """All components of one node, by their names in the catalogue."""
    subgraph = OrderSubgraph.build({node: value}, {})
    part = catalog().component_slices[catalog()[node].index]
    names = catalog().components[part]
    return {n: float(v) for n, v in zip(names, subgraph.components[part], strict=True)}


def decided(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The answer to the golden order, and the events of the order and its outcome."""
    random_model(folder / "model", seed=3)
    settings = replace(Settings(), home=folder / "home", model=folder / "model", deadline_ms=60_000)
    service = bootstrap.open_service(settings, bootstrap.demo_profile())
    try:
        answer = asyncio.run(
            decide(ORDER, service.line, key_id="golden", idempotency_key="golden", body_sha256="0" * 64)
        )
        service.line.ledger.append_outcomes([parse_outcome(OUTCOME)])
    finally:
        service.close()
    with bootstrap.open_keys(settings) as store:
        events = store.events()
    # Through JSON and back, as a webhook or a Kafka consumer will see them.
    return json.loads(answer.body), msgspec.json.decode(msgspec.json.encode(events))


def world_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a world that is imported from the golden order and outcome."""
    source = folder / "ndjson"
    source.mkdir()
    for name, body in (("orders", ORDER), ("outcomes", OUTCOME)):
        (source / f"{name}.ndjson").write_text(json.dumps(body, ensure_ascii=False) + "\n", "utf-8")
    world = import_ndjson(source, folder / "world")
    manifest: dict[str, Any] = json.loads((world / "manifest.json").read_text("utf-8"))
    return manifest


def card() -> dict[str, Any]:
    """A model card without the long list of bin edges."""
    made: dict[str, Any] = json.loads(card_text(random_card(0)))
    return made


def tree() -> dict[str, Any]:
    """The tree that ships, with its digest."""
    shipped = bootstrap.load_tree(Settings())
    return {"sha256": shipped.sha256, "tree": dict(shipped.data)}


def report() -> dict[str, Any]:
    """A report for the person concerned, under both laws."""
    record = some_record(subgraph=random_subgraph(0, 0.3))
    return render(record, audience="subject", law="both", lang="en", merchant=MerchantProfile.demo())


class OneKey:
    """Keeps the one key that is put into it."""

    key: dict[str, Any]

    def put_key(self, key: dict[str, Any]) -> None:
        self.key = key

    def get_key(self, key_id: str) -> dict[str, Any] | None:
        return self.key if key_id == self.key["key_id"] else None

    def list_keys(self) -> list[dict[str, Any]]:
        return [self.key]

    def revoke_key(self, key_id: str) -> bool:
        self.key = self.key | {"revoked": True}
        return True


def api_key() -> dict[str, Any]:
    """What is shown once, and what is stored."""
    store = OneKey()
    shown = create_key(store, roles=["checkout"], org="m-17", per_second=50)
    return {"shown": shown, "stored": store.key}


def in_folder(make: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return make(Path(folder))


def write_all() -> None:
    """Write every golden file of this module."""
    answer, events = in_folder(decided)
    made = {
        "nodes.json": node_values(),
        "answer.json": answer,
        "events.json": events,
        "world-manifest.json": in_folder(world_manifest),
        "card.json": card(),
        "tree.json": tree(),
        "report-subject.json": report(),
        "key.json": api_key(),
    }
    for name, value in made.items():
        (GOLDEN / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    write_all()
