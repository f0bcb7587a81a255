"""Canonical JSON is what any other implementation of RFC 8785 writes."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.canonical import canonical_json, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-1.5, "-1.5"), (1e-7, "1e-7"), (1e-6, "0.000001"),
        (1.5e-10, "1.5e-10"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (123456.789, "123456.789"),
        (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (0.1, "0.1"), (100.0, "100"),
        (333333333.33333329, "333333333.3333333"), (9.5e-7, "9.5e-7"), (1.2e22, "1.2e+22"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_ecmascript_writes_them(value, text):
    assert number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back_as_itself(value):
    assert float(number(value)) == value


def test_numbers_agree_with_a_javascript_engine():
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node: compares with a JavaScript engine")
    values = [i * 10.0**p for i in (1, 1.5, 7.25, 1 / 3) for p in range(-30, 31)]
    script = f"console.log(JSON.stringify({json.dumps(values)}.map(String)))"
    told = json.loads(subprocess.run([node, "-e", script], capture_output=True, text=True, check=True).stdout)
    assert [number(v) for v in values] == told


def test_names_are_sorted_by_utf16_and_nothing_is_escaped_without_need():
    value = {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7}
    order = ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]
    assert canonical_json(value).decode() == "{" + ",".join(
        f"{json.dumps(k, ensure_ascii=False)}:{value[k]}" for k in order
    ) + "}"  # fmt: skip


def test_empty_containers_and_nesting():
    assert (
        canonical_json({"b": [], "a": {}, "c": [True, None, (1, 2)]})
        == b'{"a":{},"b":[],"c":[true,null,[1,2]]}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(ValueError, match=r"Out of range|safe integer"):
        canonical_json({"x": value})
