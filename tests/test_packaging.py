"""The wheel has every package and data file, and the core install imports nothing beyond its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = {"riskgraph": "riskgraph", **SETUPTOOLS["package-dir"]}
BEYOND_CORE = (
    "torch",
    "sklearn",
    "scipy",
    "pyarrow",
    "matplotlib",
    "pandas",
    "faker",
    "networkx",
    "shap",
    "typst",
    "ray",
    "onnx",
    "onnxruntime",
    "neo4j",
)
# Written by `make measure` on a machine that can measure; a checkout may not have it yet.
MAY_BE_EMPTY = {("riskgraph.bench", "*.json")}


def folder_of(package: str) -> Path:
    """Where a package lies in the tree."""
    for name in sorted(FOLDERS, key=len, reverse=True):
        if package == name or package.startswith(f"{name}."):
            return ROOT / FOLDERS[name] / Path(*package[len(name) :].strip(".").split("."))
    raise AssertionError(package)


def packages_in(root: Path, name: str) -> set[str]:
    """Packages below a folder, links left aside: those folders are listed on their own."""
    found = {name}
    for path in root.rglob("__init__.py"):
        inside = path.parent.relative_to(root)
        if not any((root / Path(*inside.parts[: n + 1])).is_symlink() for n in range(len(inside.parts))):
            found.add(".".join((name, *inside.parts)))
    return found


def packages_in_tree() -> set[str]:
    return set().union(*(packages_in(ROOT / folder, name) for name, folder in FOLDERS.items()))


def test_every_package_of_the_tree_is_in_the_wheel():
    assert packages_in_tree() == set(SETUPTOOLS["packages"])


def test_a_package_that_is_not_listed_would_be_found(tmp_path):
    (tmp_path / "new/deep").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "new", tmp_path / "new/deep"):
        (folder / "__init__.py").touch()
    assert packages_in(tmp_path, "riskgraph") - {"riskgraph"} == {"riskgraph.new", "riskgraph.new.deep"}


def test_every_python_file_lies_in_a_package():
    for package in SETUPTOOLS["packages"]:
        assert (folder_of(package) / "__init__.py").is_file()
    listed = {folder_of(package) for package in SETUPTOOLS["packages"]}
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*.py"):
            assert path.parent in listed or any(part.is_symlink() for part in path.parents), path


@pytest.mark.parametrize(
    ("package", "pattern"),
    [(package, pattern) for package, some in SETUPTOOLS["package-data"].items() for pattern in some],
)
def test_every_pattern_of_data_files_finds_some(package, pattern):
    if (package, pattern) in MAY_BE_EMPTY and not list(folder_of(package).glob(pattern)):
        pytest.skip("measured.json is written by make measure")
    assert list(folder_of(package).glob(pattern))


def test_every_data_file_is_in_the_wheel():
    matched = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in folder_of(package).glob(pattern)
    }
    for package in SETUPTOOLS["packages"]:
        for path in folder_of(package).rglob("*"):
            inside = path.relative_to(folder_of(package)).parts
            linked = any((folder_of(package) / part).is_symlink() for part in inside[:1])
            if path.is_file() and path.suffix not in (".py", ".pyc") and not linked:
                assert path in matched, path


@pytest.mark.parametrize(
    "module",
    ["riskgraph.core", "riskgraph.pipeline", "riskgraph.bootstrap", "riskgraph.api.app", "riskgraph.cli",
     "riskgraph.promotion", "riskgraph.models", "riskgraph.eval.worlds"],
)  # fmt: skip
def test_importing_the_core_pulls_in_no_extra(module):
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(ran.stdout)}
    assert not loaded & set(BEYOND_CORE)


def test_the_core_imports_without_any_installed_extra():
    blocked = {*BEYOND_CORE, "torch_geometric", "threadpoolctl", "httpx2"}
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(blocked)!r}))\n"
        "from riskgraph.cli import main\n"
        f"sys.argv = ['riskgraph', 'score', {str(ROOT / 'tests/golden/order.json')!r}, '--json']\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["degraded"] is False


def test_the_version_of_the_package_is_that_of_the_distribution():
    from riskgraph import __version__

    assert __version__ == PROJECT["project"]["version"]
    assert "riskgraph" in packages_distributions()
