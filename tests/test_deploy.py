"""What deploy/README.md promises is what deploy/compose.yaml says; no engine runs it here."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="reading the Compose file needs the extra dev")

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SERVICES[request.param]


def test_the_service_and_neo4j_5_26_community_are_what_runs():
    assert set(SERVICES) == {"riskgraph", "neo4j"}
    assert re.fullmatch(r"neo4j:5\.26(\.\d+)?-community", SERVICES["neo4j"]["image"])


def test_every_service_is_nobody_in_particular_within_limits(service):
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)


def test_every_published_port_is_one_of_loopback(service):
    assert all(str(port).startswith("127.0.0.1:") for port in service["ports"])


def test_every_service_has_a_health_check_that_can_end(service):
    check = service["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_the_service_can_write_its_volumes_only_and_does_not_wait_for_neo4j():
    ours = SERVICES["riskgraph"]
    assert ours["read_only"] is True
    assert "depends_on" not in ours
    writable = {mount.split(":")[1] for mount in ours["volumes"] if not mount.endswith(":ro")}
    assert writable == {ours["environment"][f"RISKGRAPH_{name}"] for name in ("HOME", "SECRETS")}


def test_all_that_is_kept_lies_in_named_volumes():
    used = {mount.split(":")[0] for service in SERVICES.values() for mount in service["volumes"]}
    assert used - {"./merchant.toml"} == set(COMPOSE["volumes"])


def test_passwords_come_from_files_that_git_and_the_image_leave_out():
    given = {secret for service in SERVICES.values() for secret in service["secrets"]}
    assert given == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name or "AUTH" in name:
                assert name.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"]
    root = DEPLOY.parent
    for path in [*(secret["file"] for secret in COMPOSE["secrets"].values()), "./merchant.toml"]:
        here = f"deploy/{path.removeprefix('./')}"
        ignored = subprocess.run(["git", "check-ignore", "-q", here], cwd=root, check=False).returncode
        assert ignored in (0, 128)  # 128: not a checkout
        assert left_out(here)


def left_out(path: str) -> bool:
    """Whether the image is built without it: the last row that names it, or a folder above it, decides."""
    above = [path, *map(str, PurePosixPath(path).parents)]
    rows = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").split()
    found = [row for row in rows if any(fnmatch(name, row.removeprefix("!")) for name in above)]
    return bool(found) and not found[-1].startswith("!")


def test_the_image_is_built_with_all_folders_of_the_package_and_without_what_npm_fetched():
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text("utf-8"))
    folders = ["riskgraph", *project["tool"]["setuptools"]["package-dir"].values()]
    assert [name for name in folders if left_out(f"{name}/__init__.py")] == []
    assert left_out("sdk_js/node_modules/x/index.js")
    assert left_out("sdk_js/src/index.ts")


def test_the_image_runs_as_the_user_of_the_compose_file():
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)[-1] == SERVICES["riskgraph"]["user"]


def bolt_health(port: int) -> int:
    command = [part.replace("7687", str(port)) for part in SERVICES["neo4j"]["healthcheck"]["test"][1:]]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_the_health_check_of_neo4j_is_content_with_a_real_server(neo4j_server):
    if neo4j_server.pid is None:
        pytest.skip("the given server may be elsewhere")
    assert bolt_health(int(neo4j_server.uri.rpartition(":")[2])) == 0


def test_the_health_check_of_neo4j_fails_where_nothing_listens_or_nothing_is_said():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert bolt_health(port) != 0
    assert bolt_health(port) != 0


@pytest.mark.slow
def test_neo4j_knows_every_setting(neo4j_server, tmp_path):
    from tests.support.neo4j_jars import Unavailable, jars, java

    try:
        command = [java(), "-cp", f"{jars()}/*", "org.neo4j.server.startup.Neo4jAdminCommand"]
    except Unavailable as wrong:
        pytest.skip(str(wrong))
    (tmp_path / "conf").mkdir()
    rows = {
        name.removeprefix("NEO4J_").replace("__", "\0").replace("_", ".").replace("\0", "_"): value
        for name, value in SERVICES["neo4j"]["environment"].items()
        if name != "NEO4J_AUTH_FILE"
    }
    environment = os.environ | {"NEO4J_HOME": str(tmp_path), "NEO4J_CONF": str(tmp_path / "conf")}

    def validates(text: str) -> bool:
        (tmp_path / "conf" / "neo4j.conf").write_text(text, "utf-8")
        run = [*command, "server", "validate-config"]
        return subprocess.run(run, env=environment, capture_output=True, check=False).returncode == 0

    text = "".join(f"{name}={value}\n" for name, value in rows.items())
    assert validates(text)
    assert not validates(f"{text}server.memory.no_such_thing=1\n")
