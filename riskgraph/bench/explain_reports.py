"""Whether reports say the same in both languages and name their articles, and how long pages take."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from riskgraph import bootstrap
from riskgraph.bench import Figure
from riskgraph.bench.explain_ground import Ground
from riskgraph.core.report import DecisionReport
from riskgraph.explainers.choices import Audience, Lang, Law
from riskgraph.explainers.render_html import render_html
from riskgraph.explainers.render_json import render
from riskgraph.models.timing import times_us

RECORDS, TIMED = 60, 20
# They name the reader's language and law, or digest the whole.
_PER_LANGUAGE = ("report_id", "lang", "integrity.canonical_sha256")
_PROSE = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")
_HAN = re.compile(r"[\u4e00-\u9fff]")
# Once, twice, noon, midnight: words in one language where the other has digits.
_IN_WORDS = {"0", "1", "2", "12", "24"}
_HOUR = re.compile(r"(\d+) ([ap])\.m\.")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


def parity(ground: Ground) -> list[Figure]:
    """Fields that say the same in both languages: one missing, empty or not translated counts against."""
    same = whole = 0
    records = ground.records(RECORDS)
    for record in records:
        for audience in Audience:
            zh, en = (_fields(record, audience.value, lang) for lang in ("zh", "en"))
            whole += len(zh.keys() | en.keys())
            # A report in either language may hold both texts, side by side.
            pairs = ((zh.get(re.sub("_en$", "_zh", path)), en[path]) for path in zh.keys() & en.keys())
            same += sum(_alike(*pair) for pair in pairs)
    note = (
        f"{whole} fields of {len(records)} simulated reports, each audience: in both languages, "
        "Chinese with the same numbers where the English is prose, else text in both or equal"
    )
    return [Figure("parity_zh_en", same / whole, "1", note)]


def _fields(record: DecisionReport, audience: str, lang: str) -> dict[str, Any]:
    report = render(record, audience=audience, law="both", lang=lang, merchant=bootstrap.demo_profile())
    return {path: value for path, value in leaves(report) if path not in _PER_LANGUAGE}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a report that holds no others, with its path."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{place}")
    else:
        yield path, value


def _alike(zh: Any, en: Any) -> bool:
    if not (isinstance(zh, str) and isinstance(en, str)):
        return bool(zh == en)
    if not _PROSE.search(en):
        return bool(zh.strip()) == bool(en.strip())
    return bool(_HAN.search(zh)) and _numbers(zh) == _numbers(en)


def _numbers(text: str) -> set[str]:
    text = _HOUR.sub(lambda found: str(int(found[1]) + 12 * (found[2] == "p")), text)
    return {found.replace(",", "") for found in _NUMBER.findall(text)} - _IN_WORDS


def sourced(ground: Ground) -> list[Figure]:
    """Fields of a report for which every law that was asked for names an article."""
    named = whole = 0
    records, merchant = ground.records(RECORDS), bootstrap.demo_profile()
    for record in records:
        for audience in Audience:
            for law in Law:
                asked: dict[str, Any] = {"audience": audience.value, "law": law.value, "lang": "en"}
                report = render(record, **asked, merchant=merchant)
                laws = {"gdpr", "pipl"} if law is Law.BOTH else {law.value}
                refs = report["law_refs"]
                whole += len(report)
                named += sum(all(refs.get(field, {}).get(key) for key in laws) for field in report)
    note = f"top-level fields of {len(records)} simulated reports, each audience and law; {whole} fields"
    return [Figure("fields_sourced", named / whole, "1", note)]


def html(ground: Ground) -> list[Figure]:
    """Milliseconds of an HTML page from its record, when others were made before it."""
    return [_page_ms("html_ms", ground, render_html)]


def pdf(ground: Ground) -> list[Figure]:
    """The same of a PDF."""
    # Here, so that the other figures work without the extra pdf.
    from riskgraph.explainers.render_pdf import render_pdf

    return [_page_ms("pdf_warm_ms", ground, render_pdf)]


def _page_ms(name: str, ground: Ground, make: Callable[..., object]) -> Figure:
    records, merchant = ground.records(TIMED), bootstrap.demo_profile()

    def page(job: tuple[DecisionReport, Lang]) -> None:
        make(job[0], audience="subject", law="both", lang=job[1].value, merchant=merchant)

    times = times_us({name: page}, [(record, lang) for record in records for lang in Lang], rounds=1)[name]
    note = f"median of {len(records)} simulated reports in two languages, subject, warm, nothing kept"
    return Figure(name, float(np.median(times)) / 1e3, "ms", note)


PARTS = {parity: ("parity_zh_en",), sourced: ("fields_sourced",), html: ("html_ms",), pdf: ("pdf_warm_ms",)}
