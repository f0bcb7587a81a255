"""The PDF report: tagged, deterministic, complete, and robust against odd characters."""

from __future__ import annotations

import builtins
import importlib.util
import io
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core import fonts
from riskgraph.core import typeset as module
from riskgraph.core.errors import ExtraMissing
from riskgraph.core.report import DecisionReport, Reason
from riskgraph.explainers.choices import Audience
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_json import render
from riskgraph.explainers.render_pdf import render_pdf
from tests.explainers.helpers import degraded_record, random_subgraph, some_order, some_record
from tests.explainers.test_fields import PARITY

DEMO = MerchantProfile.demo()
HAVE = all(importlib.util.find_spec(name) for name in ("typst", fonts.PACKAGE, "pypdf"))
needs_pdf = pytest.mark.skipif(not HAVE, reason="the extra pdf is optional")


def pdf(
    record: DecisionReport,
    lang: str = "en",
    law: str = "both",
    audience: str = "subject",
    merchant: MerchantProfile = DEMO,
) -> bytes:
    return render_pdf(record, audience=audience, law=law, lang=lang, merchant=merchant)


def text_of(data: bytes) -> str:
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


@needs_pdf
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_pdf_is_tagged_titled_and_the_same_every_time(lang: str) -> None:
    from pypdf import PdfReader

    data = pdf(some_record(1), lang)
    assert data == pdf(some_record(1), lang)
    reader = PdfReader(io.BytesIO(data))
    assert "/StructTreeRoot" in reader.trailer["/Root"]
    assert "A-1001" in str(reader.metadata.title if reader.metadata else "")
    assert str(reader.trailer["/Root"]["/Lang"]).startswith(lang)


@needs_pdf
def test_the_chinese_pdf_names_places_and_cites_in_chinese() -> None:
    text = re.sub(r"\s", "", text_of(pdf(some_record(1), "zh")))
    assert {"监管机关（欧盟）", "监管机关（中国）", "序言第63条"} <= set(
        re.findall("监管机关（..）|序言第63条", text)
    )
    assert re.findall(r"\((?:EU|CN)\)|Recital|¶", text) == []


@needs_pdf
def test_the_pdf_says_the_reason_of_a_far_address_in_chinese() -> None:
    fixed = {"B110": "km1000", "B085": "unavailable"}
    record = some_record(1, subgraph=random_subgraph(1, 0.0, fixed=fixed))
    reason = Reason("far_address_location_unconfirmed", ("B110", "B085"), "risk", "strong", 0.9)
    text = text_of(pdf(replace(record, reasons=(reason,)), "zh")).replace("\n", "")
    assert "本次收货地址与您常用地址相距较远，且本次付款设备的位置无法确认" in text


@needs_pdf
def test_a_degraded_decision_and_an_empty_order_have_a_pdf() -> None:
    assert "No automated score could be used" in text_of(pdf(degraded_record())).replace("\n", " ")
    assert pdf(some_record(1, subgraph=random_subgraph(1, 0.0)))


@needs_pdf
def test_a_character_without_a_glyph_becomes_a_box_with_a_note() -> None:
    text = text_of(pdf(some_record(1, order=some_order(order_id="A-😀-1"))))
    assert "A-□-1" in text
    assert "the font lacks" in text
    assert "the font lacks" not in text_of(pdf(some_record(1)))


@needs_pdf
def test_hostile_text_is_printed_and_never_evaluated() -> None:
    hostile = '#panic("x") $x$ @a <b> *c* \\ ] ) " #import'
    text = text_of(pdf(some_record(1, order=some_order(order_id=hostile))))
    assert '#panic("x")' in text


@needs_pdf
def test_every_text_that_ships_has_a_glyph() -> None:
    for lang in ("zh", "en"):
        for seed in range(3):
            record = some_record(seed, subgraph=random_subgraph(seed, 1.0))
            assert "□" not in text_of(pdf(record, lang))


@needs_pdf
@pytest.mark.parametrize("audience", list(Audience))
@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("degraded", [False, True])
def test_every_audience_gets_a_tagged_pdf_that_holds_what_the_page_holds(
    audience: str, lang: str, degraded: bool
) -> None:
    from pypdf import PdfReader

    record = degraded_record() if degraded else some_record(2, parity=PARITY)
    data = pdf(record, lang, audience=audience)
    root = PdfReader(io.BytesIO(data)).trailer["/Root"]
    assert "/StructTreeRoot" in root
    made = render(record, audience=audience, law="both", lang=lang, merchant=DEMO)
    text = re.sub(r"\s", "", text_of(data))
    assert "□" not in text
    expected = [made["consent_gate"]["checked"], made["withheld"][0]["text"]]
    if "authority" in made:
        expected += [made["authority"]["hashes"]["subgraph"], made["authority"]["reference"]["id"]]
    if "rules" in made:
        expected.append(made["rules"]["statement"])
    if "compliance" in made:
        expected += [made["compliance"]["nodes"][136]["label"], made["compliance"]["versions"]["tree_sha256"]]
    for part in expected:
        assert re.sub(r"\s", "", part) in text, part


@needs_pdf
@pytest.mark.parametrize(
    "character", ["𠮷", "㐂", "😀", "👩‍🚀", "\u0378", "\ue000", "\uffff", "\x00", "\u202e", "é", "ﷺ"]
)
def test_a_rare_character_never_costs_anyone_a_report(character: str) -> None:
    """GDPR Art. 12(1): the name stands in it, or a box in place of what the font lacks."""
    name = {lang: f"店{character}铺" for lang in ("zh", "en")}
    merchant = MerchantProfile({**DEMO.data, "controller": {**DEMO.data["controller"], "name": name}})
    record = some_record(1, order=some_order(order_id=f"A{character}1"))
    text = text_of(pdf(record, "zh", merchant=merchant))
    assert "店" in text
    assert "铺" in text


@needs_pdf
@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=12))
def test_no_text_whatever_aborts_a_report(text: str) -> None:
    record = some_record(1, order=some_order(order_id=text, currency=text, channel_code=text))
    assert pdf(record).startswith(b"%PDF")


def test_without_typst_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_typst(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "typst":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    module._compiler.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without_typst)
    with pytest.raises(ExtraMissing, match=r"riskgraph\[pdf\]"):
        pdf(some_record(1))


@pytest.mark.parametrize("name", ["no_such_font_package", "json"])
def test_without_the_font_the_missing_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fonts.font_file.cache_clear()
    monkeypatch.setattr(fonts, "PACKAGE", name)
    with pytest.raises(ExtraMissing, match=r"riskgraph\[pdf\]"):
        fonts.font_file()
    fonts.font_file.cache_clear()


@needs_pdf
def test_the_font_covers_rare_name_characters() -> None:
    assert all(ord(c) in fonts.covered() for c in "镕喆堃燊昇珺玥□·–…²")
    assert 0x1F600 not in fonts.covered()


def test_a_font_without_a_character_map_is_an_error() -> None:
    with pytest.raises(ValueError, match="no cmap table"):
        fonts.read_cmap(b"OTTO\x00\x00" + b"\x00" * 20)
