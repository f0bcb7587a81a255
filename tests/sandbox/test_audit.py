"""The audit log: a chain in which nothing can be changed, left out or cut off unseen."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.canonical import canonical_json
from riskgraph.core.errors import CheckFailed
from riskgraph.sandbox import append_audit, check_logged, verify_audit, verify_copy
from riskgraph.sandbox.audit import FIRST, check_chained, next_entry, sealed_line


def _log(folder: Path, signer: Any, count: int = 4) -> Path:
    path = folder / "audit.jsonl"
    for number in range(count):
        append_audit(path, {"event": "read", "n": number}, signer)
    return path


def test_each_record_names_the_hash_of_the_one_before(signer: Any, tmp_path: Path) -> None:
    records = verify_audit(_log(tmp_path, signer), signer)
    assert [record["seq"] for record in records] == [0, 1, 2, 3]
    assert [record["prev_hash"] for record in records] == [FIRST, *(r["hash"] for r in records[:-1])]
    assert len({record["hash"] for record in records}) == 4
    assert {record["key_id"] for record in records} == {signer.key_id}


@given(
    count=st.integers(2, 5),
    kind=st.sampled_from(["flip", "drop", "swap", "repeat", "forge"]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
@settings(max_examples=80, deadline=None)
def test_whatever_is_done_to_a_line_is_found(
    signer: Any, tmp_path_factory: pytest.TempPathFactory, count: int, kind: str, place: float, bit: int
) -> None:
    path = _log(tmp_path_factory.mktemp("log"), signer, count)
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    at = int(place * (count - 1))  # never the last line alone: that is what a checkpoint is for
    if kind == "flip":
        changed = bytearray(data)
        changed[int(place * len(data))] ^= 1 << bit
        lines = [bytes(changed)]
    elif kind == "drop":
        del lines[at]
    elif kind == "swap":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    elif kind == "repeat":
        lines.insert(at, lines[at])
    else:
        lines[at] = sealed_line({"event": "read", "n": 99}, signer, at, FIRST if at == 0 else "1" * 64)
    path.write_bytes(b"".join(lines))
    with pytest.raises(CheckFailed, match="line"):
        verify_audit(path, signer)


def test_a_record_of_the_right_number_that_follows_another_record_is_found(
    signer: Any, tmp_path: Path
) -> None:
    """Somebody with the key replaces the first record: the second still names the old one."""
    path = _log(tmp_path, signer, 2)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(sealed_line({"event": "read", "n": 7}, signer) + lines[1])
    with pytest.raises(CheckFailed, match="line 2: the chain is broken.*line 1 is not the record it follows"):
        verify_audit(path, signer)


def test_a_shortened_log_lacks_the_hash_that_was_printed_before(signer: Any, tmp_path: Path) -> None:
    path = _log(tmp_path, signer)
    last = verify_audit(path, signer)[-1]["hash"]
    append_audit(path, {"event": "read", "n": 4}, signer)
    assert len(verify_audit(path, signer, expect=last)) == 5
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert len(verify_audit(path, signer)) == 3
    with pytest.raises(CheckFailed, match="no record with the hash.*shortened"):
        verify_audit(path, signer, expect=last)


def test_the_copy_of_a_record_shows_that_its_log_was_shortened(signer: Any, tmp_path: Path) -> None:
    path, copy = _log(tmp_path, signer), tmp_path / "copy.jsonl"
    copy.write_bytes(path.read_bytes().splitlines(keepends=True)[3])
    assert verify_copy(copy, signer)["seq"] == 3
    check_logged(path, copy)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(CheckFailed, match="does not hold the record of this release"):
        check_logged(path, copy)
    path.unlink()
    with pytest.raises(CheckFailed, match="does not hold"):
        check_logged(path, copy)


def test_a_copy_is_one_whole_record(signer: Any, tmp_path: Path) -> None:
    lines = _log(tmp_path, signer).read_bytes().splitlines(keepends=True)
    copy = tmp_path / "copy.jsonl"
    for content, named in (
        (lines[0] + lines[1], "cannot be read|not one record"),
        (lines[0][:-1], "not one record"),
        (lines[0][:-9], "cannot be read"),
        (lines[0].replace(b'"n":0', b'"n":1'), "signature"),
        (b"5\n", "made by an earlier version|cannot be read"),
    ):
        copy.write_bytes(content)
        with pytest.raises(CheckFailed, match=named):
            verify_copy(copy, signer)


def test_a_line_that_was_whole_once_is_no_line_that_a_kill_cut_off(signer: Any, tmp_path: Path) -> None:
    path = _log(tmp_path, signer)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:-30] + b"\n" + lines[2] + lines[3])
    with pytest.raises(CheckFailed, match="line 3: the chain is broken.*line 2 was whole"):
        verify_audit(path, signer)


def test_a_log_without_a_chain_says_what_to_do_and_is_left_alone(signer: Any, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    body = {"schema": "riskgraph.sandbox.audit/1", "event": "release", "seq": 0, "key_id": signer.key_id}
    path.write_bytes(canonical_json({**body, "sig": "AAAA"}) + b"\n")
    before = path.read_bytes()
    for attempt in (
        lambda: append_audit(path, {"event": "read"}, signer),
        lambda: check_chained(path),
        lambda: verify_audit(path, signer),
    ):
        with pytest.raises(CheckFailed, match="earlier version.*move the file aside"):
            attempt()
    assert path.read_bytes() == before
    check_chained(tmp_path / "none.jsonl")


def test_an_entry_whose_work_fails_is_not_in_the_log(signer: Any, tmp_path: Path) -> None:
    path = _log(tmp_path, signer, 1)

    def fail() -> None:
        with next_entry(path, {"event": "release"}, signer) as line:
            assert json.loads(line)["seq"] == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert len(verify_audit(path, signer)) == 1
    append_audit(path, {"event": "read", "n": 1}, signer)
    assert len(verify_audit(path, signer)) == 2


def test_no_other_record_takes_the_place_that_an_open_entry_holds(signer: Any, tmp_path: Path) -> None:
    path = _log(tmp_path, signer, 1)
    with ThreadPoolExecutor(1) as pool:
        with next_entry(path, {"event": "release", "n": 1}, signer):
            late = pool.submit(append_audit, path, {"event": "read", "n": 2}, signer)
            assert not late.done()
        assert late.result()["seq"] == 2
    assert [record["n"] for record in verify_audit(path, signer)] == [0, 1, 2]


def test_a_changed_or_missing_audit_line_is_detected(signer: Any, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    for number in range(3):
        append_audit(log, {"event": "release", "n": number}, signer)
    assert [r["n"] for r in verify_audit(log, signer)] == [0, 1, 2]
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + lines[2])
    with pytest.raises(CheckFailed, match="out of order"):
        verify_audit(log, signer)
    log.write_bytes(b"".join(lines).replace(b'"n":1', b'"n":7'))
    with pytest.raises(CheckFailed, match="line 2"):
        verify_audit(log, signer)
    log.write_bytes(b"".join(lines)[:-1])
    with pytest.raises(CheckFailed, match="cut off"):
        verify_audit(log, signer)


def test_a_line_that_a_kill_cut_off_swallows_no_record_and_is_told(signer: Any, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    for number in range(2):
        append_audit(log, {"event": "release", "n": number}, signer)
    log.write_bytes(log.read_bytes()[:-40])
    for number in (2, 3):
        append_audit(log, {"event": "release", "n": number}, signer)
    lines = log.read_bytes().split(b"\n")
    assert [json.loads(lines[place])["seq"] for place in (0, 2, 3)] == [0, 2, 3]
    with pytest.raises(CheckFailed, match="line 2: cut off.*every other line holds"):
        verify_audit(log, signer)
    log.write_bytes(log.read_bytes().replace(b'"n":3', b'"n":4'))
    with pytest.raises(CheckFailed, match="line 4: the signature"):
        verify_audit(log, signer)


def test_a_record_that_only_lacks_its_line_end_is_whole_again_after_the_next(
    signer: Any, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    append_audit(log, {"event": "release", "n": 0}, signer)
    log.write_bytes(log.read_bytes()[:-1])
    append_audit(log, {"event": "release", "n": 1}, signer)
    assert [record["n"] for record in verify_audit(log, signer)] == [0, 1]


def test_two_writers_take_no_number_twice(signer: Any, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: append_audit(log, {"event": "release", "n": n}, signer), range(40)))
    assert {record["n"] for record in verify_audit(log, signer)} == set(range(40))
