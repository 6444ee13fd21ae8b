"""Cutting a long proof by splits of inputs into parts that become regions afresh, each with scales that suit it.

A region's scales must hold the values of its whole box.  Far down its tree values are smaller by orders of magnitude,
and the integers that hold them have as many bits less: where a proof needs those, its subtrees start afresh.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from verify.core.payload import varint
from verify.kernel.walk import AFRESH, BOUND, CLIP, HIGH, LEAF, LOW, REDUCE, TIGHTEN, WEIGHTED

LEAVES = 600  # of a part, about: what it costs to begin one is little beside walking it
SHARE = 16  # parts are so many times smaller than the whole, and are cut again: bounds on the way down count, too


def cut(steps: bytes) -> tuple[bytes, list[bytes]]:
    """The steps, as a search by boxes writes them, with large subtrees taken out, and these.

    `AFRESH number LEAF` stands for each.  The whole is not taken out, and steps that are no tree of input splits stay
    as they are.
    """
    nodes = _nodes(steps) if steps.count(LEAF) > LEAVES else None
    if nodes is None:
        return steps, []
    starts, sizes = nodes
    if sizes[0] <= LEAVES:
        return steps, []
    leaves = max(LEAVES, sizes[0] // SHARE)
    top, parts, at = bytearray(), list[bytes](), 0
    while at < len(sizes):
        if sizes[at] <= leaves:
            after = at + 2 * sizes[at] - 1
            top += bytes([AFRESH]) + varint(len(parts)) + bytes([LEAF])
            parts.append(steps[starts[at] : starts[after]])
            at = after
        else:
            top += steps[starts[at] : starts[at + 1]]
            at += 1
    return bytes(top), parts


def _nodes(steps: bytes) -> tuple[Sequence[int], Sequence[int]] | None:
    """Where each node's steps begin (and the end), and how many leaves it has; None for other steps."""
    starts, ends, at = array("q", [0]), bytearray(), 0
    while at < len(steps):
        opcode, at = steps[at], at + 1
        if opcode in (LOW, HIGH):
            while steps[at] >= 128:  # all but the last byte of a varint
                at += 1
            at += 1
        if opcode in (LOW, HIGH, LEAF):
            starts.append(at)
            ends.append(opcode == LEAF)
        elif opcode == WEIGHTED:
            at += 2 + steps[at] % 128 + 128 * steps[at + 1]  # the length of what closes the node: two bytes, always
        elif opcode not in (TIGHTEN, REDUCE, BOUND, CLIP):
            return None
    sizes, waiting = array("q", bytes(8 * len(ends))), list[int]()
    for at in range(len(ends) - 1, -1, -1):
        sizes[at] = 1 if ends[at] else waiting.pop() + waiting.pop()
        waiting.append(sizes[at])
    return starts, sizes
