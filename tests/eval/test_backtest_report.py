from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import Conflict
from riskgraph.eval.backtest import BacktestResult
from riskgraph.eval.backtest_report import verify_report
from tests.eval.backtest_toy import Toy, ToySigner, backtest

FILES = (
    "camouflage.png",
    "camouflage.svg",
    "report.html",
    "report.json",
    "report.sig",
    "roc.png",
    "roc.svg",
    "scores.parquet",
    "scores.png",
    "scores.svg",
)


@pytest.fixture
def copy(report_once: BacktestResult, tmp_path: Path) -> Path:
    """A copy of the report that a test may harm."""
    return Path(shutil.copytree(report_once.path, tmp_path / "copy"))


def sealed(body: bytes) -> bytes:
    """What ``report.sig`` says when the right key signs these bytes."""
    return canonical_json({
        "algorithm": "Ed25519",
        "key_id": "toy",
        "payload_sha256": hashlib.sha256(body).hexdigest(),
        "signature": ToySigner().sign(body).hex(),
    })  # fmt: skip


def resign(folder: Path, report: dict) -> None:
    """Sign a changed report with the right key: what a careless owner of the key could do."""
    body = canonical_json(report)
    (folder / "report.json").write_bytes(body)
    (folder / "report.sig").write_bytes(sealed(body))


def test_the_folder_holds_exactly_the_promised_files(report_once: BacktestResult):
    assert tuple(sorted(p.name for p in report_once.path.iterdir())) == FILES


def test_an_untouched_report_has_no_problem_with_and_without_the_oracle(
    toy: Toy, report_once: BacktestResult
):
    assert verify_report(report_once.path, ToySigner()) == []
    assert verify_report(report_once.path / "report.json", ToySigner(), toy.truth) == []


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_changed_byte_in_any_file_is_found(copy: Path, name: str, where: float, flip: int):
    path = copy / name
    whole = path.read_bytes()
    place = int(where * len(whole))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
    problems = verify_report(copy, ToySigner())
    path.write_bytes(whole)
    assert problems
    assert name in " ".join(problems) or name in ("report.json", "report.sig")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_shortened_file_is_found(copy: Path, name: str):
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[:-1])
    assert verify_report(copy, ToySigner())
    (copy / name).unlink()
    assert verify_report(copy, ToySigner())


def test_every_byte_of_the_signature_file_counts(copy: Path):
    path = copy / "report.sig"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x20]) + whole[place + 1 :])
        assert verify_report(copy, ToySigner()), place


def test_a_file_that_was_added_is_found(copy: Path):
    (copy / "note.txt").write_text("all is well")
    assert verify_report(copy, ToySigner()) == ["note.txt is not part of the report"]


def test_another_key_is_named_and_a_stolen_key_name_does_not_help(report_once: BacktestResult):
    assert "'other'" in verify_report(report_once.path, ToySigner("other", bytes(32)))[0]
    problems = verify_report(report_once.path, ToySigner("toy", bytes(32)))
    assert problems == ["the signature does not fit report.json"]


def test_a_signed_area_that_the_curve_does_not_have_is_found(copy: Path):
    report = json.loads((copy / "report.json").read_bytes())
    report["metrics"]["ranking"]["auc"]["value"] = 0.9999
    resign(copy, report)
    assert any("ROC points give an area" in p for p in verify_report(copy, ToySigner()))


def test_a_signed_curve_that_the_scores_do_not_have_is_found(copy: Path):
    report = json.loads((copy / "report.json").read_bytes())
    points = report["roc"]["points"]
    points["threshold"][3] = points["threshold"][4]
    resign(copy, report)
    assert any("do not count the scores" in p for p in verify_report(copy, ToySigner()))


def test_verdicts_that_do_not_fit_the_signed_counts_are_found(copy: Path):
    report = json.loads((copy / "report.json").read_bytes())
    report["metrics"]["frozen"]["reject"]["fp"] += 1
    resign(copy, report)
    assert any("rejected orders" in p for p in verify_report(copy, ToySigner()))


def test_scores_under_another_oracle_give_another_area(toy: Toy, report_once: BacktestResult):
    swapped = replace(toy.truth, is_fraud=np.roll(toy.truth.is_fraud, 1))
    assert any("gives an area" in p for p in verify_report(report_once.path, ToySigner(), swapped))
    fewer = replace(toy.truth, **{k: getattr(toy.truth, k)[:10] for k in vars(toy.truth)})
    assert any("not in the oracle" in p for p in verify_report(report_once.path, ToySigner(), fewer))


def test_a_folder_without_a_report_is_a_problem_and_not_a_crash(tmp_path: Path):
    assert verify_report(tmp_path, ToySigner()) == ["report.json cannot be read (No such file or directory)"]


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b"\xff", b'{"files": 3}'])
def test_a_signed_report_of_the_wrong_shape_is_a_problem_and_not_a_crash(copy: Path, body: bytes):
    (copy / "report.json").write_bytes(body)
    (copy / "report.sig").write_bytes(sealed(body))
    assert any("cannot be understood" in p for p in verify_report(copy, ToySigner()))


def test_scores_hold_order_score_and_verdict_and_say_that_they_are_simulated(report_once: BacktestResult):
    table = parquet.read_table(report_once.path / "scores.parquet")
    assert table.column_names == ["order_id", "score", "verdict"]
    assert table.num_rows == report_once.report["rows"]["used"]
    assert table.schema.metadata[b"provenance"] == b"simulated"
    assert set(table["verdict"].to_pylist()) == {"accept", "review", "reject"}


def test_the_same_backtest_gives_the_same_bytes(toy: Toy, report_once: BacktestResult, tmp_path: Path):
    again = backtest(toy, tmp_path / "again").path
    for name in FILES:
        assert (again / name).read_bytes() == (report_once.path / name).read_bytes(), name


def test_a_folder_that_holds_something_is_refused_and_left_alone(toy: Toy, tmp_path: Path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine.txt").write_text("mine")
    with pytest.raises(Conflict, match="not empty"):
        backtest(toy, tmp_path / "r")
    assert [p.name for p in tmp_path.rglob("*")] == ["r", "mine.txt"]


def test_an_empty_folder_is_taken(toy: Toy, tmp_path: Path):
    (tmp_path / "r").mkdir()
    assert verify_report(backtest(toy, tmp_path / "r", reps=20).path, ToySigner()) == []


def test_a_failure_half_way_leaves_nothing_behind(toy: Toy, tmp_path: Path):
    class NoKey(ToySigner):
        def sign(self, data: bytes) -> bytes:
            raise RuntimeError("the key is locked")

    with pytest.raises(RuntimeError, match="locked"):
        backtest(toy, tmp_path / "r", signer=NoKey(), reps=20)
    assert list(tmp_path.iterdir()) == []


def test_the_page_escapes_what_comes_from_outside(toy: Toy, tmp_path: Path):
    page = backtest(toy, tmp_path / "r", code={"branch": "<script>alert(1)</script>"}, reps=20).path
    text = (page / "report.html").read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_every_picture_of_the_page_has_words_and_lies_beside_it(report_once: BacktestResult):
    text = (report_once.path / "report.html").read_text("utf-8")
    pictures = re.findall(r'<img src="([^"]+)" alt="([^"]+)">', text)
    assert {p for p, _ in pictures} == {"roc.svg", "camouflage.svg", "scores.svg"}
    assert all(len(words) > 20 for _, words in pictures)
    assert all((report_once.path / p).exists() for p, _ in pictures)
    assert "http" not in re.sub(r'xmlns="[^"]+"', "", text)
