"""The documents say what the code does.

``python tests/test_docs.py`` writes the generated table of ``docs/models.md`` anew.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from riskgraph.bench import explain, line, models, sandbox, stores, worlds
from riskgraph.cli import app
from riskgraph.commands.catalog import markdown_page
from riskgraph.core import errors
from riskgraph.explainers.wording_page import wording_page
from riskgraph.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = {".git", "build", "dist", "demo-out", "node_modules", "riskgraph-data"}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CARD = re.compile(r"(<!-- card: [^\n]*-->\n).*?(<!-- /card -->)", re.DOTALL)
# Put together here so that this file does not hold what it looks for.
MACHINE_PATHS = tuple("/" + "/".join(parts) for parts in (("work", "main"), ("work", "shared"), ("tmp", "v")))


def files(pattern: str) -> list[Path]:
    """Files of the project, without what git ignores or what a build left."""
    found = [p for p in ROOT.rglob(pattern) if p.is_file()]
    return sorted(p for p in found if not any(map(skipped, p.relative_to(ROOT).parts)))


def skipped(part: str) -> bool:
    return part in SKIPPED or part.startswith(".venv")


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def documents() -> str:
    return "\n".join(p.read_text(encoding="utf-8") for p in [ROOT / "README.md", *files("docs/**/*.md")])


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    """``score``, ``world import`` … for every command that can be run."""
    children: dict[str, click.Command] = getattr(command, "commands", {})
    if path and (not children or getattr(command, "invoke_without_command", False)):
        yield " ".join(path)
    for name, child in children.items():
        yield from commands(child, (*path, name))


def all_errors(base: type[errors.RiskgraphError] = errors.RiskgraphError) -> Iterator[type]:
    yield base
    for child in base.__subclasses__():
        yield from all_errors(child)


def slug(heading: str) -> str:
    """Anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("command", sorted(commands(typer.main.get_command(app))))
def test_every_command_is_in_the_documents(command: str) -> None:
    assert f"riskgraph {command}" in documents()


@pytest.mark.parametrize("name", [f"RISKGRAPH_{f.name.upper()}" for f in fields(Settings)])
def test_every_setting_is_in_readme_and_operations(name: str) -> None:
    assert f"`{name}`" in text("README.md")
    assert f"`{name}`" in text("docs/operations.md")


@pytest.mark.parametrize("error", sorted(set(all_errors()), key=lambda e: e.__name__))
def test_every_error_is_in_the_api_page(error: type[errors.RiskgraphError]) -> None:
    status = r"\d+" if error.status == 500 else str(error.status)
    # A base whose code its children replace is named by class; all others stand in one row.
    row = rf"^\| {status} \| `{error.code}` \| [^|]*`{error.__name__}`"
    assert re.search(row, text("docs/api.md"), re.MULTILINE), f"{error.__name__} {error.status} {error.code}"


def test_error_codes_made_outside_the_hierarchy_are_in_the_api_page() -> None:
    page = text("docs/api.md")
    for code in ("idempotency_mismatch", "overloaded", "method_not_allowed"):
        assert f"`{code}`" in page


def test_every_figure_of_the_bench_is_in_the_figures_page() -> None:
    page = text("docs/figures.md")
    groups = [*line.PARTS.values(), *worlds.PARTS.values(), *sandbox.PARTS.values(), *models.PARTS.values()]
    groups += [*explain.PARTS.values(), *stores.PARTS.values()]
    missing = [name for names in groups for name in names if f"`{name}`" not in page]
    assert missing == []


def test_the_catalogue_page_is_the_generated_one() -> None:
    assert text("docs/catalogue.md").rstrip("\n") == markdown_page().rstrip("\n"), "run make docs"


def test_the_wording_page_is_the_generated_one() -> None:
    assert text("docs/wording.md").rstrip("\n") == wording_page().rstrip("\n"), "run make docs"


def test_the_figures_of_the_shipped_model_are_those_of_its_card() -> None:
    page = text("docs/models.md")
    assert with_card(page) == page, "run python tests/test_docs.py"


@pytest.mark.parametrize("page", files("*.md"), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_relative_links_resolve(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page.name}: {target}"


def test_the_answer_in_the_readme_is_the_one_that_is_given(tmp_path: Path) -> None:
    # Here, since run as a script this file finds no package tests.
    from tests.support.cli import riskgraph

    page = text("README.md")
    body, answer = (re.search(rule, page, re.DOTALL) for rule in (r"-d '(\{.*?\})'\n", r"```json\n(.*?)```"))
    assert body is not None
    assert answer is not None
    (tmp_path / "order.json").write_text(body[1], encoding="utf-8")
    given = riskgraph("score", tmp_path / "order.json", "--json", home=tmp_path / "home").json()
    shown = json.loads(answer[1].replace(", …", ""))
    assert differences(shown, given) == [], "paste what riskgraph score --json prints"


def differences(shown: Any, given: Any, path: str = "") -> list[str]:
    """Where a shortened value tells something else; ids and times are new each time."""
    if path in (".decision_id", ".stage_ms", ".report") or shown == "…":
        return []
    if isinstance(shown, dict):
        inner = [(shown[key], given.get(key), f"{path}.{key}") for key in shown]
    elif isinstance(shown, list):
        inner = [(one, other, f"{path}[]") for one, other in zip(shown, given, strict=False)]
    else:
        return [] if shown == given else [f"{path}: {shown!r} is {given!r}"]
    return [found for three in inner for found in differences(*three)]


def test_decisions_have_their_four_parts() -> None:
    for page in files("docs/decisions/*.md"):
        body = page.read_text(encoding="utf-8")
        for part in ("Context", "Decision", "Consequences", "Alternatives"):
            assert f"## {part}\n" in body, f"{page.name} lacks {part}"
        assert f"decisions/{page.name}" in text("docs/index.md"), f"docs/index.md does not list {page.name}"


def tracked() -> list[Path]:
    """Files that git knows or would take; every file where there is no git."""
    asked = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(asked, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return files("*")
    return [ROOT / name for name in listed.decode().split("\0") if name]


def test_no_file_holds_a_path_of_some_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {needle}"
        for path in tracked()
        if path.is_file()
        for needle in MACHINE_PATHS
        if re.search(rf"{needle}\b".encode(), path.read_bytes())
    ]
    assert found == []


def release_row(card: dict[str, Any], release: dict[str, Any]) -> tuple[str, str]:
    held, until = release["certificate"], card["window"][release["release_id"]]["until"]
    told = f"k = {release['k']}; {held['groups']} groups, the smallest {held['min_units']} persons"
    return f"release `{release['release_id']}`", f"labels known until {until}; {told}"


def with_card(page: str) -> str:
    """The models page with the figures of the shipped model's card."""
    card = json.loads(text("models/champion/card.json"))
    metrics, recipe = card["metrics"], card["recipe"]
    rows = [
        ("name, provenance", f"`{card['name']}`, {card['provenance']}"),
        ("created", card["created"]),
        ("digest of the card", f"`{card['card_sha256']}`"),
        *(release_row(card, release) for release in card["releases"]),
        ("rows fitted, held out", f"{recipe['rows']:,}, {recipe['held_out_rows']:,}"),
        ("fraud rate of held-out rows (enriched)", f"{metrics['fraud_rate']:.4f}"),
        ("AUROC, AUPRC", f"{metrics['auroc']:.4f}, {metrics['auprc']:.4f}"),
    ]
    # Cards of before measured thresholds on the rows that they were cut on.
    for band, title in (("reject", "reject"), ("review", "reject or review")):
        if f"recall_{band}" in metrics:
            found = f"{metrics[f'recall_{band}']:.4f}, {metrics[f'fpr_{band}']:.4f}"
            rows.append((f"{title}: recall, false-positive rate", found))
    lines = ["", "| simulated, held-out released rows | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows]
    lines += ["", "| availability class | review from | reject from | from which rows |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {c['review']:.4f} | {c['reject']:.4f} | {c['how']} |"
        for name, c in card["classes"].items()
    ]
    block = "\n".join([*lines, "", ""])
    return CARD.sub(lambda m: m[1] + block + m[2], page)


if __name__ == "__main__":
    models = ROOT / "docs" / "models.md"
    models.write_text(with_card(models.read_text(encoding="utf-8")), encoding="utf-8")


def test_a_share_of_one_is_no_count_of_one() -> None:
    assert re.findall(r"\| 1 of [\d,]+", text("docs/figures.md")) == []
