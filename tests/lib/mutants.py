"""Mutants of bytes and of JSON text, for fuzzers: flips, cuts, numbers at their extremes, pieces moved and repeated."""

import re
import struct

FLOATS = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, 1e-300, 2.0**53, 2.0**63, 1e19]
WORDS = [0, 1, 2, 3, 127, 255, 65535, 65536, 10**6, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
# Numbers of 1 to 10 bytes as postcard writes them.
VARINTS = [b"\x00", b"\x01", b"\x7f", b"\xff\x01", b"\xff\xff\x03", b"\xff\xff\xff\xff\x07", b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x08",
           b"\xff" * 9 + b"\x01", b"\xff" * 8 + b"\x7f"]
NUMBERS = ["0", "-1", "1", "1e308", "-1e308", "1e400", "1e-400", "-0.0", "0.5", "5e-324", "65535", "2147483648", "4294967296", "9007199254740992",
           "9223372036854775807", "9223372036854775808", "18446744073709551615", "1000000000"]
OTHERS = ["null", "true", "[]", "{}", '""', '"NaN"', '"\\u0000"', '"\\ud800"', '"' + "x" * 300 + '"', "NaN", "[" * 200]
TOKEN = re.compile(r'-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|"(?:[^"\\]|\\.)*"|[\[\]{},:]|true|false|null')
NUMBER = re.compile(r"-?\d")


def of_bytes(random, original):
    """Some changes at any places, more of them near the beginning, where the header is."""
    found = bytearray(original)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        n = len(found)
        at = random.randrange(min(n, 64)) if n and random.random() < 0.4 else random.randrange(n) if n else 0
        kind = random.randrange(12)
        if kind <= 1 and n:
            found[at] ^= 1 << random.randrange(8)
        elif kind == 2 and n:
            found[at] = random.choice((0, 1, 2, 3, 127, 128, 255, random.randrange(256)))
        elif kind == 3 and random.random() < 0.5:
            del found[at:]
        elif kind == 4:
            found += bytes(random.randrange(256) for _ in range(random.choice((1, 4, 8, 100))))
        elif kind == 5:
            found[at : at + random.choice((0, 1, 1, 2))] = random.choice(VARINTS)
        elif kind == 6:
            place = at if random.random() < 0.5 else at & ~7
            found[place : place + 8] = struct.pack("<d", random.choice(FLOATS))
        elif kind == 7:
            place, width = at & ~3, random.choice((2, 4, 8))
            found[place : place + width] = random.choice(WORDS).to_bytes(8, "little")[:width]
        elif kind == 8 and n:
            start = random.randrange(n)
            found[at:at] = found[start : start + random.choice((1, 4, 8, 16, 40))]
        elif kind == 9 and n:
            start, length = random.randrange(n), random.choice((1, 4, 8, 16))
            found[at : at + length] = found[start : start + length]
        elif kind == 10:
            del found[at : at + random.choice((1, 2, 4, 8, 16))]
        elif kind == 11 and n:
            found[at] = (found[at] + random.choice((1, 255))) % 256
    return bytes(found)


def of_text(random, original):
    """JSON whose tokens are changed; now and then any bytes."""
    if random.random() < 0.1:
        return of_bytes(random, original).replace(b"\0", b"0")
    tokens = TOKEN.findall(original.decode())
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if not tokens:
            break
        numbers = [place for place, token in enumerate(tokens) if NUMBER.match(token)]
        strings = [place for place, token in enumerate(tokens) if token.startswith('"')]
        opened = [place for place, token in enumerate(tokens) if token in "[{"]
        at, kind = random.randrange(len(tokens)), random.randrange(9)
        if kind <= 3 and numbers:
            tokens[random.choice(numbers)] = random.choice(NUMBERS)
        elif kind == 4:
            tokens[at] = random.choice(NUMBERS + OTHERS)
        elif kind == 5:
            del tokens[at : at + random.choice((1, 2))]
        elif kind == 6:
            start = random.randrange(len(tokens))
            tokens[at:at] = tokens[start : start + random.randrange(1, 9)]
        elif kind == 7 and opened:
            place = random.choice(opened)
            if place + 1 < len(tokens) and tokens[place + 1] not in "]}":
                tokens[place + 1 : place + 1] = [tokens[place + 1], ","] * random.choice((1, 2, 50))
        elif kind == 8 and strings:
            tokens[random.choice(strings)] = random.choice([tokens[random.choice(strings)], *OTHERS])
    return "".join(tokens).encode()
