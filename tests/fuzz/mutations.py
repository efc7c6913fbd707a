"""Damaged files: seeded, so that what fell once falls again."""

from __future__ import annotations

import random

ODD_NUMBERS = [
    (2**64 - 1).to_bytes(8, "little"),
    (2**63 - 1).to_bytes(8, "little"),
    (2**40).to_bytes(8, "little"),
    (2**31).to_bytes(4, "little"),
    bytes(8),
]
ODD_TEXTS = [
    b'"',
    b"\n",
    b"\0",
    b"\xff",
    b"{" * 60,
    b"-1",
    b"9" * 30,
    b"NaN",
    b"\xe2\x80\xae",
    b"}",
    b",",
    b"'",
]


def mutated(content: bytes, dice: random.Random) -> bytes:
    """One to four damages: bits, bytes, numbers, texts, cuts, repetitions; half of them where headers lie."""
    damaged = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        if not damaged:
            break
        place = dice.randrange(min(len(damaged), 600) if dice.random() < 0.5 else len(damaged))
        match dice.randrange(7):
            case 0:
                damaged[place] ^= 1 << dice.randrange(8)
            case 1:
                damaged[place] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                number = dice.choice(ODD_NUMBERS)
                damaged[place : place + len(number)] = number
            case 3:
                damaged[place:place] = dice.choice(ODD_TEXTS)
            case 4:
                del damaged[place : place + dice.choice((1, 7, 64, len(damaged)))]
            case 5:
                damaged[place:place] = damaged[place : place + dice.choice((3, 50, 512))]
            case 6:
                damaged[place] = dice.choice(b'0123456789"[]{},:\n\t ')
    return bytes(damaged)
