"""Help, wrong usage and exit codes of every command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from riskgraph import __version__, bootstrap
from riskgraph.cli import app
from riskgraph.commands.model import Kind
from riskgraph.core.errors import (
    BadRequest,
    CheckFailed,
    Conflict,
    ExtraMissing,
    Invalid,
    NotFound,
    RiskgraphError,
    SensitiveField,
    StorageUnavailable,
    TooLarge,
)
from riskgraph.models.kinds import KINDS
from tests.support.cli import riskgraph

GOLDEN = Path(__file__).parents[1] / "golden"
ORDER = GOLDEN / "order.json"
DAYS = ("--from", "2026-07-01", "--to", "2026-09-30")
CREATE = ("keys", "create", "--merchant", "m", "--role", "checkout")
RELEASE = ("sandbox", "release", "--world", GOLDEN, "--out", "x")


def commands(group: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Every group and every command below it."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *path, name)


ALL = sorted(commands(typer.main.get_command(app)))
LEAVES = [path for path in ALL if not any(other[:-1] == path for other in ALL) or path == ("backtest",)]


def test_all_areas_have_commands():
    assert {path[0] for path in ALL if path} >= {
        "simulate", "world", "sandbox", "train", "model", "tree", "backtest", "score", "report", "graph",
        "serve", "keys", "catalog", "demo", "bench", "audit",
    }  # fmt: skip


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself(path, tmp_path):
    ran = riskgraph(*path, "--help", home=tmp_path)
    assert ran.code == 0
    shown = ran.out.decode()
    assert " ".join(("riskgraph", *path)) in shown
    assert "--help" in shown
    assert not ran.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_gives_a_program_one_json_value(path):
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    assert "--json" in [option for parameter in command.params for option in parameter.opts]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("simulate",), "--out"),
        (("train", "--release", GOLDEN, "--out", "x", "--kind", "oracle"), "--kind"),
        (("train", "--release", GOLDEN, "--out", "x", "--rows", "119"), "--rows"),
        (("simulate", "--out", "x", "--orders", "5"), "--orders"),
        (("simulate", "--out", "x", "--seed", "seven"), "--seed"),
        (("simulate", "--out", "x", "--config", "nowhere"), "--config"),
        (("catalog", "--colour"), "--colour"),
        (("catalog", "--schema", "--markdown"), "--markdown"),
        (("catalog", "--json", "--markdown"), "--markdown"),
        (("catalog", "--wording", "--markdown"), "--wording"),
        (("score", "no-such-file.json"), "no-such-file.json"),
        (("score", ORDER, "--lang", "fr"), "--lang"),
        (("score", ORDER, "--model", "no-such-folder"), "--model"),
        (("sandbox", "release", "--world", "no-such-folder", "--until", "2026-06-30"), "--world"),
        ((*RELEASE, "--until", "June"), "--until"),
        ((*RELEASE, "--until", "2026-06-30", "--k", "10"), "--k"),
        (("sandbox", "audit", "no-such-folder"), "no-such-folder"),
        (("train", "--out", "x"), "--release"),
        (("train", "--out", "x", "--release", GOLDEN, "--kind", "oracle"), "--kind"),
        (("backtest",), "--world"),
        (("backtest", "--world", GOLDEN, "--out", "x", "--from", "May", "--to", "2026-09-30"), "--from"),
        (("backtest", "--world", "no-such-folder", "--out", "x", *DAYS), "--world"),
        (
            ("backtest", "--world", GOLDEN, "--out", "x", "--from", "2026-09-30", "--to", "2026-07-01"),
            "before it starts",
        ),
        (("backtest", "verify", "no-such-folder"), "no-such-folder"),
        (("model", "promote", GOLDEN), "--by"),
        (("model", "rollback"), "--by"),
        (("report", "show", "0", "--law", "roman"), "--law"),
        (("report", "show", "0", "--format", "docx"), "--format"),
        (("report", "show", "0", "--format", "html", "--json"), "--out"),
        (("keys", "create", "--merchant", "m"), "--role"),
        (("keys", "create", "--merchant", "m", "--role", "king"), "role"),
        (("keys", "create", "--merchant", "", "--role", "checkout"), "name the merchant"),
        (("keys", "create", "--merchant", "m", "--role", "publishable"), "origins"),
        ((*CREATE, "--origin", "https://shop.example"), "origins"),
        ((*CREATE, "--expires", "soon"), "--expires"),
        ((*CREATE, "--expires", "2020-01-01"), "--expires"),
        ((*CREATE, "--days", "0"), "--days"),
        ((*CREATE, "--days", "3", "--expires", "2099-01-01"), "--expires or --days"),
        (("serve", "--port", "many"), "--port"),
        (("serve",), "RISKGRAPH_MERCHANT"),
        (("demo", "--orders", "10"), "--orders"),
        (("bench", "line", "--only", "speed"), "speed"),
        (("bench", "worlds", "--only", "speed"), "speed"),
        (("bench", "sandbox", "--only", "speed"), "speed"),
        (("bench", "explain", "--only", "speed"), "speed"),
        (("audit", "shap", "--orders", "0"), "--orders"),
        (("world", "export", GOLDEN), "--ndjson"),
        (("world", "describe"), "WORLD"),
        (("fly",), "fly"),
    ],
    ids=lambda value: " ".join(map(str, value))[:50] if isinstance(value, tuple) else value,
)  # fmt: skip
def test_wrong_usage_exits_with_2_and_one_line_that_names_it(arguments, named, tmp_path):
    ran = riskgraph(*arguments, home=tmp_path / "home")
    assert ran.code == 2
    assert named.lower() in ran.error.lower()
    assert ran.err.strip() == ran.error
    assert not ran.out


@pytest.mark.parametrize("group", [(), ("sandbox",), ("world",), ("keys",)], ids=" ".join)
def test_a_group_alone_shows_its_help_and_exits_with_2(group, tmp_path):
    ran = riskgraph(*group, home=tmp_path)
    assert ran.code == 2
    assert "Usage" in ran.out.decode()


def test_a_wrong_number_in_the_environment_is_named(tmp_path):
    ran = riskgraph("serve", "--demo-merchant", home=tmp_path, environment={"RISKGRAPH_PORT": "many"})
    assert (ran.code, ran.error) == (2, "error: RISKGRAPH_PORT must be a whole number, got 'many'")


@pytest.mark.parametrize("pairs", ["1", "-4", "1001"])
def test_a_number_of_permutations_that_cannot_serve_is_named(tmp_path, pairs):
    environment = {"RISKGRAPH_PERMUTATION_PAIRS": pairs}
    ran = riskgraph("serve", "--demo-merchant", home=tmp_path, environment=environment)
    assert ran.code == 2
    assert "RISKGRAPH_PERMUTATION_PAIRS must be 2 to 1000" in ran.error


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (BadRequest("wrong"), 2),
        (TooLarge("wrong"), 2),
        (Invalid("wrong", field="x"), 2),
        (SensitiveField("wrong", field="x"), 2),
        (CheckFailed("wrong"), 3),
        (NotFound("wrong"), 1),
        (Conflict("wrong"), 1),
        (StorageUnavailable("wrong"), 1),
        (RiskgraphError("wrong"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_error_has_its_exit_code(failure, code, monkeypatch, tmp_path):
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(bootstrap, "load_tree", fail)
    ran = riskgraph("tree", "show", home=tmp_path)
    assert (ran.code, ran.err, ran.out) == (code, "error: wrong\n", b"")


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("demo",), "lab"),
        (("simulate", "--out", "x"), "lab"),
        (("world", "describe", GOLDEN), "lab"),
        (("world", "replay", GOLDEN), "lab"),
        (("world", "import", GOLDEN, "--out", "x"), "lab"),
        (("world", "export", GOLDEN, "--ndjson", "x"), "lab"),
        (("world", "place", "card_testing", "--starts", "2026-06-01", "--out", "x"), "lab"),
        (("simulate", "--replay", "http://x", "--world", GOLDEN), "lab"),
        (("bench", "worlds"), "lab"),
        (("bench", "sandbox"), "lab"),
        (("bench", "explain"), "lab"),
        (("audit", "shap"), "train"),
        ((*RELEASE, "--until", "2026-06-30"), "lab"),
        (("sandbox", "audit", GOLDEN), "lab"),
        (("sandbox", "erase", "A-1"), "lab"),
        (("sandbox", "certificate", GOLDEN, "--out", "x"), "lab"),
        (("train", "--release", GOLDEN, "--out", "x"), "train"),
        (("train", "--release", GOLDEN, "--out", "x", "--kind", "gbdt"), "lab"),
        (("train", "--release", GOLDEN, "--out", "x", "--kind", "logistic"), "lab"),
        (("train", "--release", GOLDEN, "--out", "x", "--kind", "gatv2"), "train"),
        (("backtest", "--world", GOLDEN, "--out", "x", *DAYS), "lab"),
        (("backtest", "verify", GOLDEN), "lab"),
        (("serve", "--demo-merchant", "--history", GOLDEN), "lab"),
        (("bench", "line"), "lab"),
    ],
    ids=lambda value: " ".join(map(str, value))[:40] if isinstance(value, tuple) else value,
)
def test_a_command_without_its_extra_names_it(arguments, extra, monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "find_spec", lambda package: None)
    ran = riskgraph(*arguments, home=tmp_path / "home")
    assert ran.code == ExtraMissing("", "").exit_code == 1
    assert f"riskgraph[{extra}]" in ran.error
    assert not ran.out


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "riskgraph", "--version"]
    ran = subprocess.run(command, capture_output=True, check=True, text=True)
    assert ran.stdout == f"riskgraph {__version__}\n"
    assert not ran.stderr


def test_every_kind_of_model_can_be_asked_for():
    assert [kind.value for kind in Kind] == list(KINDS)
