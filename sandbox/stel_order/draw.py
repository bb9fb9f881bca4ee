"""Numbers that look random and depend on nothing but the seed and a label."""

from __future__ import annotations

import zlib

_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """A 64-bit number that spreads neighbouring inputs far apart (splitmix64's finisher)."""
    value = (value * 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    return value ^ (value >> 29)


def salt(seed: int, label: str) -> int:
    """Where the draws of one collection start, so that two collections never draw alike."""
    return mix((seed << 32) ^ zlib.crc32(label.encode()))
