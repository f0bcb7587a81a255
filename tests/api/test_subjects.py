"""Erasure, access and the check of the log: over HTTP beside a working service, and by command."""

from __future__ import annotations

import json
import stat

import apsw
import pytest

from riskgraph import bootstrap
from riskgraph.core.errors import Invalid
from riskgraph.governance.keys import create_key
from riskgraph.stores.crash import synthetic_entry, synthetic_order
from riskgraph.subjects import who_is
from tests.api.conftest import order
from tests.support.cli import riskgraph

ACCOUNT = "shopper-LOOK-FOR-ME"
NAMED = {"order": {"merchant_id": "m-17", "channel_code": "own_web", "order_id": "A-77-LOOK-FOR-ME"}}


@pytest.fixture
def controller(shop):
    with bootstrap.open_keys(shop.settings) as store:
        shop.keys["controller"] = create_key(store, roles=["compliance"], org="*", per_second=10_000)
    return shop


def bought(shop, order_id="A-77-LOOK-FOR-ME", account=ACCOUNT):
    body = order(order_id=order_id)
    body["entities"]["account"] = account
    answer = shop.decide(body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask(shop, path, body, role="controller"):
    return shop.client.post(f"/v1/subjects/{path}", json=body, headers=shop.headers(role))


def verified(shop):
    return shop.client.get("/v1/audit/verify", headers=shop.headers("controller")).json()


def on_machine(shop, *arguments):
    environment = {"RISKGRAPH_SECRETS": str(shop.settings.secret_folder)}
    return riskgraph(*arguments, home=shop.settings.home, environment=environment)


def test_a_person_is_erased_by_the_account_that_the_shop_sends(controller):
    mine, other = bought(controller), bought(controller, "A-78", "someone-else")
    done = ask(controller, "erase", {"account": ACCOUNT}).json()
    assert (done["decisions"], done["wiped"], done["order_ids"]) == (1, True, ["A-77-LOOK-FOR-ME"])
    headers = controller.headers("controller")
    gone = controller.client.get(f"/v1/decisions/{mine['decision_id']}", headers=headers)
    kept = controller.client.get(other["report"]["json"], headers=headers)
    assert (gone.status_code, kept.status_code) == (404, 200)
    told = verified(controller)
    assert (told["holds"], told["decisions"], told["erased"], told["first"]) == (True, 1, 1, None)


def test_no_file_of_the_home_holds_a_word_of_an_erased_order(controller):
    mine = bought(controller)
    ask(controller, "erase", NAMED)
    digest = controller.service.line.door.digest("account", ACCOUNT)
    words = [
        mine["decision_id"].encode(),
        mine["trace_id"].encode(),
        b"LOOK-FOR-ME",
        digest,
        digest.hex().encode(),
    ]
    for file in controller.settings.home.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not [word for word in words if word in content], file


def test_an_erased_order_may_be_sent_again(controller):
    first = bought(controller)
    ask(controller, "erase", NAMED)
    again = bought(controller)
    assert again["decision_id"] != first["decision_id"]


def test_all_that_is_held_is_given_out_and_what_is_not_is_named(controller):
    mine = bought(controller)
    told = ask(controller, "export", {"account": ACCOUNT}).json()
    (decision,) = told["decisions"]
    assert decision["decision_id"] == mine["decision_id"]
    assert decision["report"]["audience"] == "subject"
    assert decision["answer"]["verdict"] == mine["verdict"]
    assert told["orders"][0]["account"] == controller.service.line.door.digest("account", ACCOUNT).hex()
    assert {event["type"] for event in told["events"]} == {"decision.recorded"}
    withheld = {row["field"] for row in told["withheld"]}
    assert "decisions.answer.path" in withheld
    assert "path" not in decision["answer"]
    assert "phi" not in json.dumps(told)


def test_of_a_stranger_nothing_is_held(controller):
    answer = ask(controller, "export", {"account": "nobody"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert ask(controller, "erase", {"account": "nobody"}).json()["decisions"] == 0


def test_a_held_person_is_not_erased(controller):
    bought(controller)
    ran = on_machine(
        controller,
        "subject",
        "hold",
        "--account",
        ACCOUNT,
        "--ground",
        "legal_claim",
        "--by",
        "counsel",
        "--json",
    )
    assert ran.json() == {"held": 1}
    answer = ask(controller, "erase", {"account": ACCOUNT})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "legal_hold")
    on_machine(controller, "subject", "release", "--account", ACCOUNT)
    assert ask(controller, "erase", {"account": ACCOUNT}).json()["decisions"] == 1


@pytest.mark.parametrize(("role", "status"), [("checkout", 403), ("compliance", 403), ("admin", 403)])
def test_only_a_key_for_all_merchants_may_ask(controller, role, status):
    assert ask(controller, "erase", {"account": ACCOUNT}, role).status_code == status
    assert ask(controller, "export", {"account": ACCOUNT}, role).status_code == status
    answer = controller.client.get("/v1/audit/verify", headers=controller.headers(role))
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "subject"),
        ({"account": "a", "order": {}}, "subject"),
        ({"name": "Li"}, "subject"),
        ({"account": 3}, "account"),
        ({"account_digest": "xyz"}, "account_digest"),
        ({"order": {"merchant_id": "m"}}, "order.channel_code"),
    ],
)
def test_who_is_meant_must_be_clear(controller, body, field):
    with pytest.raises(Invalid) as wrong:
        who_is(body, controller.service.line.door)
    assert wrong.value.field == field
    assert ask(controller, "erase", body).json()["error"]["field"] == field


def test_the_command_line_erases_beside_a_service_that_goes_on(controller):
    bought(controller)
    ran = on_machine(
        controller, "subject", "erase", "--order", "m-17", "own_web", "A-77-LOOK-FOR-ME", "--json"
    )
    assert ran.json()["decisions"] == 1
    bought(controller, "A-79", ACCOUNT)
    assert verified(controller)["holds"] is True
    assert on_machine(controller, "audit", "verify", "--json").json()["decisions"] == 1


def test_an_export_is_a_file_for_its_owner_only(controller, tmp_path):
    bought(controller)
    out = tmp_path / "held.json"
    assert on_machine(controller, "subject", "export", "--account", ACCOUNT, "--out", out).code == 0
    assert json.loads(out.read_text("utf-8"))["schema"] == "riskgraph.subject_export/1"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    out.chmod(0o644)
    assert on_machine(controller, "subject", "export", "--account", ACCOUNT, "--out", out).code == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_bad_record_ends_the_check_with_three_and_its_name(controller, tmp_path):
    mine = bought(controller)
    head = tmp_path / "head.json"
    head.write_text(json.dumps(verified(controller)["tree_head"]))
    assert on_machine(controller, "audit", "verify", "--head", head).code == 0
    controller.service.close()
    connection = apsw.Connection(str(controller.settings.home / "riskgraph.db"))
    connection.execute("UPDATE decisions SET verdict='accepts'")
    connection.close()
    ran = on_machine(controller, "audit", "verify", "--json")
    assert ran.code == 3
    assert ran.error == f"error: seq 0, decision {mine['decision_id']}: row or sealed bytes were altered"
    assert json.loads(ran.out)["first"]["seq"] == 0


def test_a_check_remembers_the_last_one_and_sees_a_store_of_an_earlier_day(controller):
    settings, path = controller.settings, controller.settings.home / "riskgraph.db"
    kept = settings.secret_folder / "tree_head.json"
    bought(controller)
    controller.service.close()
    earlier = path.read_bytes()
    with bootstrap.open_keys(settings) as store:
        store.append(synthetic_entry(synthetic_order("later", 1), "d-later"))
    assert on_machine(controller, "audit", "verify").code == 0
    later = kept.read_bytes()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    path.write_bytes(earlier)
    for _ in range(2):
        ran = on_machine(controller, "audit", "verify")
        assert (ran.code, "the log was shortened" in ran.error) == (3, True)
        assert kept.read_bytes() == later
    kept.unlink()
    assert on_machine(controller, "audit", "verify").code == 0


def test_a_kept_head_that_cannot_be_read_is_named(controller):
    bought(controller)
    kept = controller.settings.secret_folder / "tree_head.json"
    kept.write_text("{")
    ran = on_machine(controller, "audit", "verify")
    assert (ran.code, str(kept) in ran.error) == (2, True)


def test_there_is_nothing_to_check_without_a_store(tmp_path):
    ran = riskgraph("audit", "verify", home=tmp_path / "home")
    assert (ran.code, "there is no store" in ran.error) == (1, True)


def test_a_file_that_is_no_tree_head_is_refused(tmp_path):
    (tmp_path / "head.json").write_text("[]")
    ran = riskgraph("audit", "verify", "--head", tmp_path / "head.json", home=tmp_path / "home")
    assert (ran.code, "no tree head" in ran.error) == (2, True)
