"""The jars of Neo4j Community, and a Java for them: fetched with Maven, cached outside of the tree, checked.

They are licensed under the GPLv3: they are never committed, and run as a process of their own behind Bolt.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from riskgraph.core import locks

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "deploy" / "neo4j"
VERSION = re.findall(r"<neo4j>([\d.]+)</neo4j>", (PARTS / "pom.xml").read_text())[0]
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVAS = ("17", "21")
FETCH_S = 600.0
INSTALLED = Path("/usr/lib/jvm")


class Unavailable(Exception):
    """No server can be had here; the text says why and what would help."""


class Refused(Exception):
    """A server could be had, but a jar, a port or the given server is wrong: never skipped over."""


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def cache() -> Path:
    base = os.environ.get("RISKGRAPH_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "riskgraph" / f"neo4j-{VERSION}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among the processes that lock this file; one that dies lets go."""
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.locked(path))
        except OSError as wrong:
            raise Unavailable(f"the cache for the server's jars cannot be written: {wrong}") from wrong
        yield


def jars() -> Path:
    """The folder of the server's jars, fetched once and checked each time.

    Raises:
        Unavailable: Without Maven or network.
        Refused: If a jar is not what it was.
    """
    place = cache()
    with locked(place.with_name(f"{place.name}.lock")):
        if not place.is_dir():
            _fetch(place)
        check_jars(place)
    return place


def _fetch(place: Path) -> None:
    if shutil.which("mvn") is None:
        raise Unavailable(f"Maven (mvn) is not here to fetch Neo4j {VERSION}, nor is {place}")
    part = place.with_name(f"{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    say(f"fetching Neo4j {VERSION} (123 MB) into {place}")
    command = ["mvn", "-q", "-B", "-f", str(PARTS / "pom.xml"), COPY, "-DincludeScope=runtime"]
    command += [f"-DoutputDirectory={part}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_S)
    except subprocess.TimeoutExpired as wrong:
        raise Unavailable(f"Maven did not fetch Neo4j {VERSION} within {FETCH_S:.0f} s") from wrong
    if done.returncode:
        told = [line for line in done.stdout.splitlines() if "ERROR" in line] or [done.stderr.strip()]
        raise Unavailable(f"Maven could not fetch Neo4j {VERSION}: {told[0][:400]}")
    check_jars(part)
    part.rename(place)


def check_jars(place: Path, listed: Path = PARTS / "jars.sha256") -> None:
    """Refuse a folder that holds anything but the listed jars, each with its SHA-256.

    Raises:
        Refused: With the name of the first jar that is wrong, missing or not on the list.
    """
    wanted = dict(reversed(line.split("  ")) for line in listed.read_text().splitlines())
    found = {path.name: path for path in place.iterdir()}
    for name in sorted(wanted.keys() | found.keys()):
        if name not in wanted or name not in found:
            what = "is not on the list" if name in found else "is missing"
            raise Refused(f"{place}/{name} {what} of deploy/neo4j/jars.sha256: delete the folder")
        with found[name].open("rb") as jar:
            if hashlib.file_digest(jar, "sha256").hexdigest() != wanted[name]:
                raise Refused(f"{place}/{name} has another SHA-256 than listed: delete the folder")


def java() -> str:
    """A Java that this line of Neo4j runs on.

    Raises:
        Unavailable: If there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = [str(Path(home) / "bin" / "java")] if home else []
    found += [path for path in [shutil.which("java")] if path]
    found += [str(path) for path in sorted(INSTALLED.glob("*/bin/java"))]
    seen = []
    for path in found:
        with suppress(OSError):
            told = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
            version = re.search(r'version "(\d+)', told)
            if version and version[1] in JAVAS:
                return path
            seen.append(told.partition("\n")[0])
    raise Unavailable(f"Neo4j {VERSION} needs Java {' or '.join(JAVAS)}; found: {seen or 'none'}")
