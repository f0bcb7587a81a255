"""Links for objections: only those made here open, each one decision, for a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.errors import NotFound
from riskgraph.governance.contest_links import EXPIRED, ContestLinks

LINKS = ContestLinks(bytes(32))
IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
TIMES = st.integers(1, 10**11)


def refused(links: ContestLinks, token: str, now: float) -> str:
    with pytest.raises(NotFound) as failure:
        links.decision(token, now)
    return failure.value.code


@given(IDS, TIMES)
def test_a_link_names_its_decision_until_its_time_is_over(name, end):
    token = LINKS.token(name, end + 0.9)
    assert token == LINKS.token(name, end)
    assert LINKS.decision(token, end - 1) == name
    assert refused(LINKS, token, end) == EXPIRED


@given(IDS, TIMES, st.data())
def test_no_link_opens_after_any_change_of_one_character(name, end, data):
    token = LINKS.token(name, end)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != token[at]))
    forged = token[:at] + other + token[at + 1 :]
    assert refused(LINKS, forged, 0) == "not_found"


@given(IDS, IDS, TIMES, TIMES)
def test_parts_of_two_links_make_no_third(first, second, end, later):
    one, two = LINKS.token(first, end).split("."), LINKS.token(second, later).split(".")
    for mixed in ([two[0], *one[1:]], [one[0], two[1], one[2]], [*one[:2], two[2]]):
        if mixed not in (one, two):
            assert refused(LINKS, ".".join(mixed), 0) == "not_found"


@given(st.text(max_size=200))
def test_nonsense_is_refused_in_the_same_words(text):
    assert refused(LINKS, text, 0) == "not_found"


@given(IDS, TIMES, st.binary(min_size=32, max_size=32).filter(any))
def test_a_link_of_another_installation_does_not_open(name, end, secret):
    assert refused(LINKS, ContestLinks(secret).token(name, end), 0) == "not_found"


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    token = ContestLinks.open(tmp_path).token("d", 9)
    assert ContestLinks.open(tmp_path).decision(token, 0) == "d"
    assert (tmp_path / "contest.key").stat().st_mode & 0o777 == 0o600
