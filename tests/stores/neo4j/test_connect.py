"""Addresses of a server, who asks it, and what is said of wrong ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from riskgraph.core.errors import ExtraMissing, Invalid
from riskgraph.settings import Settings
from riskgraph.stores import open_store, store_path
from riskgraph.stores.crash import synthetic_secrets
from riskgraph.stores.neo4j.connect import Connection, Target, parse_url, read_credentials
from riskgraph.stores.neo4j.store import Neo4jOptions, Neo4jStore

NOBODY = "bolt://127.0.0.1:1"


@pytest.mark.parametrize(
    ("url", "uri", "database"),
    [
        ("neo4j://db.shop.example?journal=a.db", "neo4j://db.shop.example:7687", "neo4j"),
        ("bolt+s://db:7999/risk?journal=a.db", "bolt+s://db:7999", "risk"),
        ("neo4j+ssc://[::1]:99/?journal=a.db", "neo4j+ssc://[::1]:99", "neo4j"),
        ("bolt://10.0.0.7?journal=a.db", "bolt://10.0.0.7:7687", "neo4j"),
    ],
)
def test_a_url_names_server_database_and_journal(url, uri, database):
    assert parse_url(url) == Target(uri, database, Path("a.db"))
    assert store_path(url) == Path("a.db")


def test_a_journal_may_have_any_path():
    assert store_path("neo4j://h?journal=/var/lib/risk%20graph/a%26b.db") == Path(
        "/var/lib/risk graph/a&b.db"
    )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("neo4j://me:secret@db?journal=a", "RISKGRAPH_NEO4J_PASSWORD_FILE"),
        ("neo4j://?journal=a", "names no host"),
        ("neo4j://db:x?journal=a", "no port"),
        ("neo4j://db:99999?journal=a", "no port"),
        ("neo4j://db:0?journal=a", "port 0"),
        ("neo4j://db/a/b?journal=a", "one database"),
        ("neo4j://db#x?journal=a", "one database"),
        ("neo4j://db", "journal=PATH"),
        ("neo4j://db?journal=", "journal=PATH"),
        ("neo4j://db?journal=a&journal=b", "journal=PATH"),
        ("neo4j://db?journal=a&ttl=3", "journal=PATH"),
        ("neo5j://db", "none of"),
    ],
)
def test_a_wrong_url_is_refused_by_what_is_wrong_and_without_a_password_in_the_message(url, says):
    with pytest.raises(Invalid, match=says) as refused:
        parse_url(url)
    assert refused.value.field == "RISKGRAPH_STORE_URL"
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "[::1]"])
def test_a_server_on_this_machine_may_ask_for_nobody(host):
    assert read_credentials(f"neo4j://{host}:7687", "", None) is None


@pytest.mark.parametrize("host", ["db", "10.0.0.7", "localhost.shop.example", "[2001:db8::1]"])
def test_a_server_elsewhere_needs_credentials(host):
    with pytest.raises(Invalid, match="RISKGRAPH_NEO4J_USER"):
        read_credentials(f"neo4j://{host}:7687", "", None)


@pytest.mark.parametrize(
    ("server", "warned"),
    [
        ("neo4j://db.shop.example", True),
        ("bolt://10.0.0.7", True),
        ("neo4j+s://db.shop.example", False),
        ("bolt+ssc://10.0.0.7", False),
        ("neo4j://127.0.0.1", False),
        ("bolt://localhost", False),
    ],
)
def test_a_way_over_the_network_that_is_not_encrypted_is_told_at_opening(server, warned, caplog):
    Connection(parse_url(f"{server}?journal=a"), ("risk", "s3cret")).close()
    told = [record.getMessage() for record in caplog.records]
    assert [f"{server}:7687 is not encrypted" in line for line in told] == [True] * warned
    assert "s3cret" not in caplog.text


def test_credentials_are_read_from_a_file_and_wrong_ones_are_named(tmp_path):
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    assert read_credentials("neo4j://db:7687", "risk", path) == ("risk", "s3cret")
    for user, file, says in [
        ("risk", None, "RISKGRAPH_NEO4J_PASSWORD_FILE is missing"),
        ("", path, "RISKGRAPH_NEO4J_USER is missing"),
        ("risk", tmp_path / "none", "cannot be read"),
    ]:
        with pytest.raises(Invalid, match=says):
            read_credentials("neo4j://db:7687", user, file)
    path.write_text("\n")
    with pytest.raises(Invalid, match="is empty"):
        read_credentials("neo4j://db:7687", "risk", path)


def test_a_missing_driver_is_told_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "neo4j", None)
    with pytest.raises(ExtraMissing, match=r"riskgraph\[neo4j\]"):
        Connection(parse_url(f"{NOBODY}?journal=a"))


def test_a_url_opens_a_store_though_nobody_answers(tmp_path):
    store = open_store(f"{NOBODY}?journal={tmp_path / 'j.db'}", synthetic_secrets(), neo4j=Neo4jOptions())
    assert isinstance(store, Neo4jStore)
    assert store.path == tmp_path / "j.db"
    assert not store.shares()
    store.close()


def test_the_settings_add_the_journal_of_the_home():
    home = Path("/var/lib/risk graph")
    assert store_path(Settings(home=home, store_url="neo4j://db").store) == home / "riskgraph.db"
    assert store_path(Settings(home=home, store_url="neo4j://db?journal=x").store) == Path("x")


@pytest.mark.parametrize("days", ["0", "4000", "many"])
def test_days_out_of_range_are_refused(days):
    with pytest.raises(Invalid, match="RISKGRAPH_NEO4J_DAYS"):
        Settings.from_environment({"RISKGRAPH_NEO4J_DAYS": days})
