"""Merkle trees of RFC 9162, section 2.1 (those of RFC 6962): roots, inclusion and consistency proofs.

A leaf is hashed with 0x00 before it, a node with 0x01. What is read of a tree are hashes of whole tiles:
level 0 are leaf hashes, level 1 the roots of 256 leaves each, level 2 of 256 of those, and so on. So an
append writes one hash, and a proof reads at most 256 of each level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
HASH_BYTES = 32
TILE_BITS = 8

# ``tiles(level, start, end)``: hashes of a level, of tiles ``start`` to ``end`` without the last.
Tiles = Callable[[int, int, int], Sequence[bytes]]
Tile = tuple[int, int, bytes]


def leaf_hash(data: bytes) -> bytes:
    """Hash of an entry: SHA-256(0x00 || data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a tree: the roots of its perfect subtrees, largest first.

    Args:
        size: Leaves so far.
        roots: Of the perfect subtrees, one for each bit that is set in ``size``.
    """

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        self.size = size
        self._roots = list(roots)

    def copy(self) -> Frontier:
        return Frontier(self.size, self._roots)

    def append(self, leaf: bytes) -> Iterator[Tile]:
        """Add a leaf hash; gives ``(level, index, hash)`` of each tile that it completes, level 1 or more."""
        completed: list[Tile] = []
        node, height, rest = leaf, 0, self.size
        while rest & 1:
            node = node_hash(self._roots.pop(), node)
            height, rest = height + 1, rest >> 1
            if height % TILE_BITS == 0:
                completed.append((height // TILE_BITS, rest, node))
        self._roots.append(node)
        self.size += 1
        return iter(completed)

    @property
    def root(self) -> bytes:
        """Root of the whole tree."""
        return fold(self._roots)


def fold(roots: Sequence[bytes]) -> bytes:
    """Root of a tree from those of its perfect subtrees, largest first."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def frontier(size: int, tiles: Tiles) -> Frontier:
    """The right edge of a tree of ``size`` leaves, read from its tiles."""
    return Frontier(size, list(_perfect_roots(0, size, tiles)))


def root_of(start: int, end: int, tiles: Tiles) -> bytes:
    """Root over the leaves ``start`` to ``end``, as RFC 9162 writes MTH(D[start:end])."""
    return fold(list(_perfect_roots(start, end, tiles)))


def _perfect_roots(start: int, end: int, tiles: Tiles) -> Iterator[bytes]:
    while start < end:
        height = (end - start).bit_length() - 1
        yield _perfect_root(start, height, tiles)
        start += 1 << height


def _perfect_root(start: int, height: int, tiles: Tiles) -> bytes:
    level = height // TILE_BITS
    shift = level * TILE_BITS
    hashes = list(tiles(level, start >> shift, (start + (1 << height)) >> shift))
    while len(hashes) > 1:
        hashes = [node_hash(*hashes[i : i + 2]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def _split(count: int) -> int:
    """The largest power of two below ``count``."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, tiles: Tiles) -> list[bytes]:
    """PATH(index, D[size]) of RFC 9162, section 2.1.3.1, nearest node first.

    Raises:
        IndexError: If the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise IndexError(f"a tree of {size} leaves has no leaf {index}")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(root_of(middle, end, tiles))
            end = middle
        else:
            path.append(root_of(start, middle, tiles))
            start = middle
    return path[::-1]


def consistency_proof(earlier: int, size: int, tiles: Tiles) -> list[bytes]:
    """PROOF(earlier, D[size]) of RFC 9162, section 2.1.4.1; empty where both are the same tree.

    Raises:
        IndexError: If ``earlier`` is not within 1 and ``size``.
    """
    if not 0 < earlier <= size:
        raise IndexError(f"no proof leads from {earlier} leaves to {size}")
    start, end, whole = 0, size, True
    path: list[bytes] = []
    while earlier != end:
        middle = start + _split(end - start)
        if earlier <= middle:
            path.append(root_of(middle, end, tiles))
            end = middle
        else:
            path.append(root_of(start, middle, tiles))
            start, whole = middle, False
    if not whole:
        path.append(root_of(start, end, tiles))
    return path[::-1]


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows that a leaf hash is in a tree (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last = leaf, size - 1
    for sibling in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and node == root


def consistent(earlier: int, earlier_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a proof shows that a tree goes on from an earlier one (RFC 9162, section 2.1.4.2)."""
    if not 0 < earlier <= size:
        return False
    if earlier == size:
        return not path and earlier_root == root
    nodes = [earlier_root, *path] if earlier & (earlier - 1) == 0 else list(path)
    if not nodes:
        return False
    index, last = earlier - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            new = node_hash(new, node)
        index, last = index >> 1, last >> 1
    return last == 0 and old == earlier_root and new == root
