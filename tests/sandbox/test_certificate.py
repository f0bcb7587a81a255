"""The certificate: it says what was measured, what was not, and claims no more than is true."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.core.fonts import PACKAGE
from riskgraph.sandbox import Release, verify_copy
from riskgraph.sandbox.certificate import render_certificate
from riskgraph.sandbox.certificate.histogram import histogram_svg
from riskgraph.sandbox.certificate.html import render_html
from riskgraph.sandbox.certificate.page import certificate_page
from riskgraph.sandbox.certificate.pdf import render_pdf
from riskgraph.sandbox.certificate.texts import table

HAVE_PDF = all(importlib.util.find_spec(name) for name in ("typst", PACKAGE, "pypdf"))
needs_pdf = pytest.mark.skipif(not HAVE_PDF, reason="the extra pdf is optional")
Record = dict[str, Any]


@pytest.fixture(scope="module")
def record(release: Release, signer: Any) -> Record:
    return verify_copy(release.path / "audit.jsonl", signer)


def _page(release: Release, record: Record, later: Any = (), lang: str = "en", **manifest: Any) -> Any:
    return certificate_page({**release.manifest, **manifest}, record, later, lang)


def _words(page: Any) -> str:
    """All text of the HTML page, pictures included."""

    class Text(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.said: list[str] = []

        def handle_data(self, data: str) -> None:
            self.said.append(data)

    reader = Text()
    reader.feed(render_html(page).partition("</style>")[2])
    return re.sub(r"\s+", " ", " ".join(reader.said))


def _attack(release: Release, **changes: Any) -> Record:
    line = {"name": "linkage", "method": "nearest", "subjects": "fraud", "n": 500, "success": 0.0125,
            "control": 0.02, "ci": [0.004, 0.021], "bound": 0.02, "pass": True}  # fmt: skip
    found = {
        "event": "attack",
        "ts": "2026-11-20T00:00:00.000+00:00",
        "actor": {"code_commit": "test"},
        "output": {"release_id": release.release_id},
        "input": None,
        "risk": {"attacks": [line]},
    }
    return {**found, **changes}


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_shows_every_figure_that_the_release_certifies(
    release: Release, record: Record, lang: str
) -> None:
    said = _words(_page(release, record, lang=lang))
    held = release.certificate
    for value in (
        release.release_id, f"{held['min_units']}", f"{held['independent']['min_components']}",
        held["independent"]["checker"], record["hash"], f"{record['loss']['sse_ratio']:.4g}",
        f"{release.manifest['input']['records']:,}", "WP216", "42460-2023", "73",
        *(entry["sha256"] for entry in release.manifest["files"].values()),
    ):  # fmt: skip
        assert value in said
    for entry in release.manifest["input"]["classes"]:
        assert f"{entry['units']:,}" in said


def test_simulated_orders_are_marked_and_a_merchants_are_not(release: Release, record: Record) -> None:
    assert "SIMULATED" in _words(_page(release, record))
    assert "模拟数据" in _words(_page(release, record, lang="zh"))
    ground = {"gdpr": ["GDPR 6(1)(a), 7"], "pipl": None, "further_rules": ["ePrivacy Directive 5(3)"]}
    own = _words(_page(release, {**record, "legal_basis": ground}, provenance="merchant"))
    assert "SIMULATED" not in own
    assert "consent to model training: GDPR 6(1)(a), 7" in own
    assert "Further rules that apply ePrivacy Directive 5(3)" in own
    assert "PIPL no order under it was used" in own


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "items.category (health): <50"), ("zh", "items.category (健康): <50")]
)
def test_special_categories_in_texts_of_the_history_are_told(
    release: Release, record: Record, lang: str, words: str
) -> None:
    found = [{"name": "items.category", "category": "health", "rule": "GDPR 9(1)", "count": "<50"}]
    seen = _words(_page(release, {**record, "fields": {**record["fields"], "found": found}}, lang=lang))
    assert words in seen
    whole = {"en": "texts of the whole history", "zh": "整个历史"}[lang]
    assert whole in seen
    assert whole in _words(_page(release, record, lang=lang))


def test_a_release_of_an_earlier_version_gets_no_certificate(release: Release, record: Record) -> None:
    asked = {name: value for name, value in release.manifest["input"].items() if name != "rounded_to"}
    with pytest.raises(Invalid, match="earlier version"):
        _page(release, record, input=asked)


def test_what_was_not_measured_says_so(release: Release, record: Record) -> None:
    said = _words(_page(release, record))
    assert "Not measured: the audit log holds no attack" in said
    assert "Not measured: the audit log holds no measurement" in said
    assert "not assessed; taken as 1" in said
    assert "none: this version has no approval" in said


def test_without_the_log_nothing_is_said_of_attacks_and_uses(release: Release, record: Record) -> None:
    said = _words(_page(release, record, later=None))
    assert said.count("Not known here") == 3
    assert "Not measured: the audit log" not in said
    assert "None is on record" not in said


def test_an_attack_on_this_release_is_shown_with_control_interval_and_bound(
    release: Release, record: Record
) -> None:
    said = _words(_page(release, record, [_attack(release)]))
    for part in ("Latest run on this release", "linkage to a person", "500", "0.0125", "0.02", "0.004–0.021"):
        assert part in said
    assert "Not measured: the audit log holds no attack" not in said


@pytest.mark.parametrize(
    ("verdict", "passed", "words"),
    [("held", True, "held"), ("broken", False, "BROKEN"), ("open", None, "open"),
     ("not measured", None, "not measured")],
)  # fmt: skip
def test_an_attack_is_shown_with_its_verdict_and_the_rule_that_gave_it(
    release: Release, record: Record, verdict: str, passed: bool | None, words: str
) -> None:
    run = _attack(release, input={"splits": 3})
    line = {**run["risk"]["attacks"][0], "judged_by": "upper", "verdict": verdict, "pass": passed}
    said = _words(_page(release, record, [{**run, "risk": {"attacks": [line]}}]))
    assert f"upper end {words}" in said
    assert "cut in halves 3 times" in said
    assert "Open means that the interval contains the bound" in said


def test_an_attack_on_the_procedure_is_not_said_to_be_one_on_this_release(
    release: Release, record: Record
) -> None:
    asked = {"provenance": "simulated", "until": "2026-06-30", "k": 50}
    said = _words(_page(release, record, [_attack(release, output=None, input=asked)]))
    assert "This release itself was not attacked" in said
    assert "0.0125" in said


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        (
            "en",
            (
                "This release itself was not measured",
                "kinds of fraud unseen in training",
                "recall at 0.38% FPR",
            ),
        ),
        ("zh", ("本发布本身未测量", "训练中没有的欺诈种类", "召回率（误报率 0.38%）")),
    ],
)
def test_what_the_same_procedure_cost_is_shown_with_its_intervals(
    release: Release, record: Record, lang: str, words: tuple[str, ...]
) -> None:
    measured = {
        "model": "network", "unseen": True, "fraud_orders": 1571,
        "auc_raw": 0.9715, "auc_release": 0.9302, "auc_loss": 0.0413,
        "recall_at_fpr": {"fpr": 0.0038, "raw": 0.257, "release": 0.21, "loss": 0.047},
        "ci": {"auc": [0.0331, 0.0492], "recall": [-0.012, 0.094]},
    }  # fmt: skip
    asked = {"provenance": "simulated", "until": "2025-09-30", "k": 50}
    run = {**_attack(release), "event": "cost", "output": None, "input": asked, "utility": [measured]}
    said = _words(_page(release, record, [run], lang=lang))
    for part in (
        *words,
        "1,571",
        "0.972",
        "0.93",
        "0.041",
        "0.033–0.049",
        "0.257",
        "-0.012–0.094",
        "2025-09-30",
    ):
        assert part in said
    assert "Not measured: the audit log holds no measurement" not in said


def test_models_and_erasures_on_record_are_shown(release: Release, record: Record) -> None:
    model = {"model_id": "champion-9", "model_sha256": "ab" * 32, "ts": "2026-11-21T00:00:00.000+00:00"}
    read = {"event": "read", "consumers": [model]}
    said = _words(_page(release, record, [read, {"event": "erase"}]))
    assert "champion-9 · abababababababab · 2026-11-21" in said
    assert "Erasures of records in it since then: 1" in said


@pytest.mark.parametrize(
    ("composition", "named"),
    [
        ({"exempt": "simulated"}, "Simulated orders are exempt"),
        ({"exempt": None}, "No ledger was kept"),
        (
            {"exempt": None, "records_already_released": 0, "earlier_releases": ["rel-1", "rel-2"],
             "ledger": {"records": 1234, "sha256": ""}},
            "the 1,234 records of this one are in the ledger, and 0 of them were in any of the 2 earlier",
        ),
    ],
)  # fmt: skip
def test_composition_says_what_the_ledger_knows(
    release: Release, record: Record, composition: Any, named: str
) -> None:
    assert named in _words(_page(release, {**record, "composition": composition}))


def test_nothing_is_called_anonymous_or_tested_but_in_what_may_not_be_claimed(
    release: Release, record: Record
) -> None:
    page = _page(release, record)
    claims = next(s for s in page.sections if "claimed" in s.title).blocks
    may, may_not = ("\n".join(row[0] for row in claims[place].rows) for place in (1, 3))
    assert [claims[place].text for place in (0, 2)] == ["May be claimed", "May not be claimed"]
    for word in ("nonym", "ifferential", "attack"):
        assert word not in may
        assert word in may_not


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_html_needs_nothing_from_elsewhere(release: Release, record: Record, lang: str) -> None:
    html = render_certificate(release, record, [], lang=lang, form="html").decode()
    assert f'<html lang="{lang}">' in html
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="|url\(|@import', html)
    assert "default-src &#39;none&#39;" in html


def test_text_from_a_record_is_never_markup(release: Release, record: Record) -> None:
    html = render_html(_page(release, record, [_attack(release, ts="<script>x")], code="<b>&x"))
    assert "<b>&x" not in html
    assert "&lt;b&gt;&amp;x" in html
    assert "<script" not in html


def test_a_release_and_its_record_always_give_the_same_bytes(release: Release, record: Record) -> None:
    once = render_certificate(release, record, [], lang="zh", form="html")
    assert once == render_certificate(release, record, [], lang="zh", form="html")


@needs_pdf
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_pdf_is_tagged_and_says_what_the_page_says(release: Release, record: Record, lang: str) -> None:
    from pypdf import PdfReader

    page = _page(release, record, [_attack(release)], lang)
    data = render_pdf(page)
    assert data == render_pdf(page)
    reader = PdfReader(io.BytesIO(data))
    assert "/StructTreeRoot" in reader.trailer["/Root"]
    assert str(reader.trailer["/Root"]["/Lang"]).startswith(lang)
    found = re.sub(r"\s", "", "".join(part.extract_text() for part in reader.pages))
    for section in page.sections:
        assert re.sub(r"\s", "", section.title) in found
    assert record["hash"] in found
    assert "□" not in found


@pytest.mark.parametrize(("asked", "field"), [({"lang": "fr"}, "--lang"), ({"form": "docx"}, "--format")])
def test_an_unknown_language_or_format_names_its_option(
    release: Release, record: Record, asked: dict[str, str], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        render_certificate(release, record, [], **{"lang": "en", "form": "html", **asked})
    assert caught.value.field == field


def test_every_text_is_there_in_both_languages_with_the_same_values() -> None:
    for section, entries in table().items():
        for name, entry in entries.items():
            assert set(entry) == {"zh", "en"}, (section, name)
            values = [sorted(re.findall(r"{(\w+)}", entry[lang])) for lang in ("zh", "en")]
            assert values[0] == values[1], (section, name)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), min_size=1, max_size=12))
def test_a_histogram_draws_every_count_inside_its_frame(counts: list[tuple[int, int]]) -> None:
    honest, fraud = zip(*counts, strict=True)
    edges = [50 + 5 * i for i in range(len(counts))]
    svg = histogram_svg(
        {"edges": edges, "honest": honest, "fraud": fraud}, {"honest": "a", "fraud": "b"}, "units", "sizes"
    )
    drawn = sorted(int(n) for n in re.findall(r'text-anchor="middle">(\d+)<', svg))
    assert drawn == sorted(n for n in (*honest, *fraud) if n)
    for x, y, width, height in re.findall(r'rect x="(.+?)" y="(.+?)" width="(.+?)" height="(.+?)"', svg):
        assert 0 <= float(x) <= float(x) + float(width) <= 860
        assert 0 < float(y) <= float(y) + float(height) <= 162.1


def test_sizes_that_were_certified_are_those_of_the_centroids(
    release: Release, signer: Any, tmp_path: Path
) -> None:
    copy = shutil.copytree(release.path, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["certificate"]["size_histogram"]["units"]["fraud"][0] += 1
    (copy / "manifest.json").write_bytes(canonical_json(manifest))
    (copy / "manifest.sig").write_bytes(signer.sign(canonical_json(manifest)))
    with pytest.raises(CheckFailed, match="certified sizes"):
        Release.open(copy, signer)
