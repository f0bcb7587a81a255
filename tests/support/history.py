"""A shop's history of orders as NDJSON bodies, made without any code of the world simulator."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 265
HONEST, THIEVES = 1_500, 330
STREETS = ("文三路", "天目山路", "延安路", "体育场路", "庆春路", "解放路", "莫干山路", "凤起路")


def histogram(chance: random.Random, middle: int, count: int) -> dict[str, Any]:
    """``count`` events around one of the 16 bins."""
    bins = [0] * 16
    for _ in range(count):
        bins[min(15, max(0, round(chance.gauss(middle, 1.2))))] += 1
    return {"n": count, "bins": bins}


def person(number: int, thief: bool) -> dict[str, Any]:
    """Entities of one person; four thieves share a delivery address."""
    place = 100_000 + number // 4 if thief else number
    street = STREETS[place % len(STREETS)]
    return {
        "account": f"u-{number}",
        "device": f"d-{number}",
        "card": f"tok-{number}",
        "card_bin": "622848",
        "address": f"浙江省杭州市西湖区{street}{place}号",
        "phone": f"+86138{number:08d}",
        "ip": f"198.51.{number % 250}.{number % 240}",
    }


def order(chance: random.Random, number: int, who: int, thief: bool) -> dict[str, Any]:
    at = START + timedelta(days=chance.random() * DAYS)
    price = round(chance.uniform(300, 900) if thief else chance.lognormvariate(4.6, 0.6), 2)
    haste = 3 if thief else 0
    return {
        "merchant_id": "m-hand",
        "order_id": f"H-{number}",
        "channel_code": "own_web",
        "placed_at": at.isoformat(timespec="milliseconds"),
        "jurisdiction": "CN",
        "region": "east",
        "line": "3c",
        "amount": {"value": f"{price:.2f}", "currency": "CNY"},
        "items": [{"sku": f"s-{chance.randrange(40)}", "category": "3c", "quantity": 1}],
        "account_created_at": (at - timedelta(days=2 if thief else 200 + who % 300)).isoformat(),
        "recipient": "other" if thief and chance.random() < 0.6 else "same",
        "ship_to": {"region": "330000", "lat": 30.2, "lon": 120.1},
        "entities": person(who, thief),
        "consent": {
            "record_id": f"c-{who}",
            "policy_version": "2026-01",
            "at": at.isoformat(),
            "purposes": dict.fromkeys(("behavior", "location", "device", "model_training"), True),
        },
        "signals": {
            "B093": max(0, round(chance.gauss(12 if thief else 60, 15))),
            "B071": chance.randrange(1, 4),
            "B084": "mouse",
            "B033": histogram(chance, 7 - haste, chance.randrange(20, 120)),
            "login_method": "password" if thief and chance.random() < 0.7 else "sms_code",
        },
    }  # fmt: skip


def outcomes(body: dict[str, Any], thief: bool) -> list[dict[str, Any]]:
    """Paid and delivered; a thief's order is charged back three weeks later."""
    at = datetime.fromisoformat(body["placed_at"])
    steps = [("paid", 0.01), ("delivered", 4.0), *([("chargeback_fraud", 21.0)] if thief else [])]
    common = {name: body[name] for name in ("merchant_id", "channel_code", "order_id")}
    return [
        {
            **common,
            "outcome_id": f"{body['order_id']}-{kind}",
            "kind": kind,
            "effective_at": (at + timedelta(days=days)).isoformat(),
            "reported_at": (at + timedelta(days=days + 0.5)).isoformat(),
            "source": "shop",
        }
        for kind, days in steps
    ]


def write_history(folder: Path, seed: int = 1) -> int:
    """Write ``orders.ndjson`` and ``outcomes.ndjson``; return the number of orders."""
    chance = random.Random(seed)
    shoppers = [(who, who >= HONEST) for who in range(HONEST + THIEVES) for _ in range(2)]
    bodies = [(order(chance, n, who, thief), thief) for n, (who, thief) in enumerate(shoppers)]
    results = [outcome for body, thief in bodies for outcome in outcomes(body, thief)]
    folder.mkdir(parents=True)
    for name, rows in (("orders", [body for body, _ in bodies]), ("outcomes", results)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.ndjson").write_text("".join(lines), "utf-8")
    return len(bodies)
