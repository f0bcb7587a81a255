"""The tree against the definitions of RFC 9162, written down recursively, for every small size."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.merkle import (
    EMPTY_ROOT,
    TILE_BITS,
    Frontier,
    consistency_proof,
    consistent,
    frontier,
    included,
    inclusion_proof,
    leaf_hash,
    root_of,
)

LEAVES = [leaf_hash(str(i).encode()) for i in range(700)]


def naive_split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_root(hashes: list[bytes]) -> bytes:
    """MTH(D_n), section 2.1.1."""
    if not hashes:
        return sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    k = naive_split(len(hashes))
    return sha256(b"\x01" + naive_root(hashes[:k]) + naive_root(hashes[k:])).digest()


def naive_path(m: int, hashes: list[bytes]) -> list[bytes]:
    """PATH(m, D_n), section 2.1.3.1."""
    if len(hashes) == 1:
        return []
    k = naive_split(len(hashes))
    if m < k:
        return [*naive_path(m, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(m - k, hashes[k:]), naive_root(hashes[:k])]


def naive_subproof(m: int, hashes: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF(m, D_n, b), section 2.1.4.1."""
    if m == len(hashes):
        return [] if whole else [naive_root(hashes)]
    k = naive_split(len(hashes))
    if m <= k:
        return [*naive_subproof(m, hashes[:k], whole), naive_root(hashes[k:])]
    return [*naive_subproof(m - k, hashes[k:], False), naive_root(hashes[:k])]


class Kept:
    """Tiles as a store keeps them, filled by appending."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.frontier, self.rows = Frontier(), dict[tuple[int, int], bytes]()
        for index, leaf in enumerate(leaves):
            self.rows[0, index] = leaf
            for level, number, hashed in self.frontier.append(leaf):
                self.rows[level, number] = hashed

    def __call__(self, level: int, start: int, end: int) -> list[bytes]:
        assert end - start <= 1 << TILE_BITS
        return [self.rows[level, i] for i in range(start, end)]


ALL = Kept(LEAVES)


def test_leaves_and_nodes_are_hashed_with_their_own_prefix():
    assert leaf_hash(b"abc") == sha256(b"\x00abc").digest()
    assert sha256(b"").digest() == EMPTY_ROOT == Frontier().root


@pytest.mark.parametrize("size", [*range(66), 255, 256, 257, 511, 512, 513, 700])
def test_the_right_edge_gives_the_root_of_the_definition(size):
    made = Kept(LEAVES[:size])
    assert made.frontier.root == naive_root(LEAVES[:size])
    assert frontier(size, ALL).root == made.frontier.root


@given(st.integers(1, 700), st.data())
def test_subtrees_have_the_root_of_the_definition(end, data):
    k = naive_split(end) if end > 1 else 0
    start = data.draw(st.sampled_from(sorted({0, k})))
    assert root_of(start, end, ALL) == naive_root(LEAVES[start:end])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 33])
def test_every_leaf_of_a_small_tree_has_the_path_of_the_definition(size):
    root = naive_root(LEAVES[:size])
    for index in range(size):
        path = inclusion_proof(index, size, ALL)
        assert path == naive_path(index, LEAVES[:size])
        assert included(LEAVES[index], index, size, path, root)


@given(st.integers(1, 700), st.data())
def test_leaves_of_any_tree_have_the_path_of_the_definition(size, data):
    index = data.draw(st.integers(0, size - 1))
    path, root = inclusion_proof(index, size, ALL), naive_root(LEAVES[:size])
    assert path == naive_path(index, LEAVES[:size])
    assert included(LEAVES[index], index, size, path, root)


@pytest.mark.parametrize("size", range(1, 34))
def test_every_two_small_trees_have_the_consistency_proof_of_the_definition(size):
    root = naive_root(LEAVES[:size])
    for earlier in range(1, size + 1):
        path = consistency_proof(earlier, size, ALL)
        assert path == naive_subproof(earlier, LEAVES[:size], True)
        assert consistent(earlier, naive_root(LEAVES[:earlier]), size, root, path)


@given(st.integers(1, 700), st.data())
def test_any_two_trees_have_the_consistency_proof_of_the_definition(size, data):
    earlier = data.draw(st.integers(1, size))
    path = consistency_proof(earlier, size, ALL)
    assert path == naive_subproof(earlier, LEAVES[:size], True)
    assert consistent(earlier, naive_root(LEAVES[:earlier]), size, naive_root(LEAVES[:size]), path)


def flipped(data: bytes, bit: int) -> bytes:
    number = bit % (8 * len(data))
    return data[: number // 8] + bytes([data[number // 8] ^ 1 << number % 8]) + data[number // 8 + 1 :]


@given(st.integers(1, 400), st.integers(0, 10**6), st.data())
def test_no_proof_of_inclusion_holds_after_a_bit_was_changed(size, bit, data):
    index = data.draw(st.integers(0, size - 1))
    path, root, leaf = inclusion_proof(index, size, ALL), naive_root(LEAVES[:size]), LEAVES[index]
    assert not included(flipped(leaf, bit), index, size, path, root)
    assert not included(leaf, index, size, path, flipped(root, bit))
    assert not included(leaf, index, size, [*path, root], root)
    if path:
        which = bit % len(path)
        altered = [flipped(h, bit) if i == which else h for i, h in enumerate(path)]
        assert not included(leaf, index, size, altered, root)
        assert not included(leaf, index, size, path[1:], root)


@given(st.integers(1, 400), st.integers(0, 10**6), st.data())
def test_no_proof_of_consistency_holds_after_a_bit_was_changed(size, bit, data):
    earlier = data.draw(st.integers(1, size))
    old, new = naive_root(LEAVES[:earlier]), naive_root(LEAVES[:size])
    path = consistency_proof(earlier, size, ALL)
    assert not consistent(earlier, flipped(old, bit), size, new, path)
    assert not consistent(earlier, old, size, flipped(new, bit), path)
    for which in range(len(path)):
        altered = [flipped(h, bit) if i == which else h for i, h in enumerate(path)]
        assert not consistent(earlier, old, size, new, altered)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_there_is_no_path_of_a_leaf_that_is_not_there(index, size):
    with pytest.raises(IndexError):
        inclusion_proof(index, size, ALL)
    assert not included(LEAVES[0], index, size, [], LEAVES[0])


@pytest.mark.parametrize(("earlier", "size"), [(0, 3), (4, 3)])
def test_there_is_no_proof_from_nothing_or_backwards(earlier, size):
    with pytest.raises(IndexError):
        consistency_proof(earlier, size, ALL)
    assert not consistent(earlier, EMPTY_ROOT, size, naive_root(LEAVES[:size]), [])
