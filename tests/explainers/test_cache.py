"""Rendered reports are kept, within bounds, and never outlive what they were made from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riskgraph.explainers.cache import RenderedReports


def test_a_report_is_made_once_for_each_key() -> None:
    cache, made = RenderedReports(), []

    def make(text: str) -> bytes:
        made.append(text)
        return text.encode()

    for key in ("zh", "en", "zh"):
        assert cache.rendered("d-1", (key,), lambda key=key: make(key)) == key.encode()
    assert made == ["zh", "en"]


def test_a_dropped_decision_is_made_anew_and_others_are_kept() -> None:
    cache = RenderedReports()
    for name in ("d-1", "d-2"):
        cache.rendered(name, ("x",), lambda: b"old")
    cache.drop("d-1")
    assert cache.rendered("d-1", ("x",), lambda: b"new") == b"new"
    assert cache.rendered("d-2", ("x",), lambda: b"new") == b"old"


def test_a_report_that_is_dropped_while_it_is_being_made_is_not_kept() -> None:
    cache = RenderedReports()

    def make() -> bytes:
        cache.drop("d-1")
        return b"erased meanwhile"

    assert cache.rendered("d-1", ("x",), make) == b"erased meanwhile"
    assert cache.rendered("d-1", ("x",), lambda: b"anew") == b"anew"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 60)), max_size=60))
def test_the_cache_holds_no_more_than_its_limit_and_no_report_is_that_of_another_key(
    asked: list[tuple[int, int, int]],
) -> None:
    cache = RenderedReports(limit_bytes=100)
    for decision, key, size in asked:
        expected = bytes([key]) * size
        got = cache.rendered(str(decision), (str(key), str(size)), lambda data=expected: data)
        assert got == expected
        assert sum(map(len, cache._kept.values())) == cache._bytes <= 100
