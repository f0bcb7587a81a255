"""What a process refuses once its tripwire is armed, what passes it, and who can import raw orders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.errors import CheckFailed
from riskgraph.sandbox.tripwire import RULES, Allowed, Refused, broken_rule
from riskgraph.training_process import libraries

ROOT = Path(__file__).parents[2]
RAW = ("riskgraph.stores", "riskgraph.eval", "riskgraph.core.table", "riskgraph.bootstrap", "riskgraph.chain")
SECRET = "zhang-wei"

REFUSED = (
    ("open(raw)", "files"),
    ("os.open(raw, os.O_RDONLY)", "files"),
    ("os.open(os.fsencode(raw), os.O_RDONLY)", "files"),
    ("open('../raw/' + raw.name)", "files"),
    ("os.chdir(raw.parent); open(raw.name)", "files"),
    ("open('link')", "files"),
    ("np.fromfile(raw)", "files"),
    ("np.memmap(raw)", "files"),
    ("open(own.parent / 'beside', 'w')", "files"),
    ("open(json.__file__, 'a')", "writing"),
    ("os.replace(raw, own / 'taken')", "writing"),
    ("os.link(raw, own / 'second')", "links"),
    ("sqlite3.connect(':memory:')", "databases"),
    ("subprocess.run(['cat', str(raw)])", "processes"),
    ("os.system('cat ' + str(raw))", "processes"),
    ("os.fork()", "processes"),
    ("os.execv('/bin/cat', ['cat', str(raw)])", "processes"),
    ("socket.create_connection(('127.0.0.1', 9))", "network"),
    ("socket.getaddrinfo('example.org', 80)", "network"),
    ("import riskgraph.stores", "imports"),
    ("import riskgraph.eval.worlds", "imports"),
)
PASSED = (
    "open('mine').read()",
    "open('new', 'w').write('x'); os.replace('new', 'newer')",
    "import xml.dom.minidom, riskgraph.models.rows",
    "os.urandom(4); open(os.devnull, 'w'); open('/dev/urandom', 'rb')",
    "import tempfile; tempfile.TemporaryFile(dir=own)",
)
# What the docstring says that a tripwire does not stop.
NATIVE = (
    "import pyarrow; pyarrow.OSFile(str(raw)).read()",
    "import ctypes; assert ctypes.CDLL(None).open(os.fsencode(raw), 0) > 2",
)
SWALLOWED = "try:\n    open(raw)\nexcept OSError:\n    pass"

# All statements in one process, which starts once and has to survive them.
ARMED = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
import socket, sqlite3, subprocess
import numpy as np
from riskgraph.sandbox.tripwire import Allowed, arm
from riskgraph.training_process import libraries
raw, own = Path(sys.argv[2]), Path(sys.argv[3])
refused = arm(Allowed.of(read=(*libraries(), own), write=(own,)))
for code in json.loads(sys.argv[4]):
    os.chdir(own)
    before, said = refused(), "nothing"
    try:
        exec(code)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    counted = {rule: n - before.get(rule, 0) for rule, n in refused().items() if n > before.get(rule, 0)}
    print(json.dumps([code, said, counted]))
"""

Said = dict[str, tuple[str, dict[str, int]]]


@pytest.fixture(scope="module")
def armed(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What each statement led to, and what was counted, where a raw file names a person."""
    folder = tmp_path_factory.mktemp("boundary")
    raw, own = folder / "raw" / f"{SECRET}.npy", folder / "own"
    raw.parent.mkdir()
    raw.write_bytes(b"0" * 64)
    own.mkdir()
    (own / "mine").write_text("mine")
    (own / "link").symlink_to(raw)
    codes = [*(code for code, _ in REFUSED), *PASSED, *NATIVE, SWALLOWED]
    command = [sys.executable, "-c", ARMED, json.dumps(sys.path), str(raw), str(own), json.dumps(codes)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return {code: (said, counted) for code, said, counted in map(json.loads, ran.stdout.splitlines())}


@pytest.mark.parametrize(("code", "rule"), REFUSED)
def test_a_refusal_names_the_rule_and_nothing_of_what_was_asked_for(code, rule, armed):
    said, counted = armed[code]
    assert said.startswith("Refused: ")
    assert RULES[rule] in said
    assert SECRET not in said
    assert counted == {rule: 1}


@pytest.mark.parametrize("code", PASSED)
def test_what_training_needs_goes_on(code, armed):
    assert armed[code] == ("nothing", {})


def test_a_library_that_swallows_the_refusal_is_counted(armed):
    assert armed[SWALLOWED] == ("nothing", {"files": 1})


@pytest.mark.parametrize("code", NATIVE)
def test_native_code_passes_the_tripwire_so_that_nobody_may_rely_on_it_alone(code, armed):
    """If this fails the tripwire has become better than its docstring says."""
    assert armed[code] == ("nothing", {})


def test_a_refusal_is_a_failed_check_and_an_error_of_the_system():
    refused = Refused("files")
    assert isinstance(refused, CheckFailed)
    assert isinstance(refused, PermissionError)
    assert refused.exit_code == 3


@given(steps=st.lists(st.sampled_from(["in", "..", ".", "in2", "x", "/"]), max_size=8))
def test_a_path_may_be_opened_exactly_if_it_leads_below_an_allowed_folder(steps):
    allowed = Allowed.of(read=["/data/in"], write=[])
    path = "/data/" + "/".join(step.strip("/") for step in steps)
    real = Path(os.path.normpath(path))
    rule = broken_rule("open", (path, "r", os.O_RDONLY), allowed)
    assert (rule is None) == (Path("/data/in") in (real, *real.parents))


@given(name=st.text(max_size=20))
def test_events_that_touch_nothing_outside_are_never_refused(name):
    families = ("sqlite3.", "socket.", "subprocess.", "pty.", "os.")
    if name in ("open", "import") or name.startswith(families):
        return
    assert broken_rule(name, (), Allowed.of(read=(), write=())) is None


def test_libraries_of_a_checkout_are_its_packages_and_not_the_worlds_in_it():
    allowed = Allowed.of(read=libraries(), write=())
    for lies, told in (
        ("models/rows.py", None),
        ("riskgraph/core/data/catalog137.csv", None),
        ("build/world/observed/orders-0.parquet", "files"),
        ("demo-out/world/manifest.json", "files"),
    ):
        assert broken_rule("open", (str(ROOT / lies), "r", os.O_RDONLY), allowed) == told


def test_no_module_of_models_or_explainers_reaches_a_raw_order_even_by_detours():
    grimp = pytest.importorskip("grimp", reason="import-linter's graph (extra dev)")
    graph = grimp.build_graph("riskgraph", cache_dir=None)
    # The one door: a Release is made by the sandbox.
    graph.remove_import(importer="riskgraph.models.train", imported="riskgraph.sandbox")
    for area in ("riskgraph.models", "riskgraph.explainers"):
        for raw in RAW:
            assert not graph.chain_exists(importer=area, imported=raw, as_packages=True), (area, raw)
    graph.add_import(importer="riskgraph.models.binning", imported="riskgraph.core.table")
    assert graph.chain_exists(importer="riskgraph.models", imported="riskgraph.core.table", as_packages=True)


def test_importing_all_of_models_and_explainers_loads_no_raw_order():
    code = (
        "import importlib, json, pkgutil, sys\n"
        # slow to load, and none of ours
        "sys.modules.update(torch=None, torch_geometric=None)\n"
        "import riskgraph.models, riskgraph.explainers\n"
        "for area in (riskgraph.models, riskgraph.explainers):\n"
        "    for found in pkgutil.iter_modules(area.__path__, area.__name__ + '.'):\n"
        "        try:\n"
        "            importlib.import_module(found.name)\n"
        "        except ModuleNotFoundError as missing:\n"
        "            assert not missing.name.startswith('riskgraph')\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = json.loads(ran.stdout)
    assert "riskgraph.models.train" in loaded
    assert [name for name in loaded if name.startswith(RAW)] == []
