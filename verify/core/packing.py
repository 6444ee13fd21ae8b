"""The compressed part of a certificate, a query's text and a payload, in the shorter of two forms (stdlib only).

    zlib( u32 length · query · payload )            xz( u32 length · packed query · payload )      told apart by magic

In a packed query a box's sides are written by value alone, and fractions of powers of ten as decimals.  Its marks are
control characters, which canonical JSON never holds:

    1 A 3 B 3    both sides of the next variable:  ["<=",[[k,"-1"]],[],"A"],["<=",[[k,"1"]],[],"B"],   k = 0, 1, …
    2 B 3        the same with A = -B
    N 4 p        within a number's quotes: N / 10^p

Nothing here judges a proof; what is unpacked is text that `verify.core.query_text` reads.
"""

from __future__ import annotations

import re
import struct
import zlib
from fractions import Fraction
from importlib.util import find_spec

from verify.core.canonical_json import malformed
from verify.errors import EvidenceError, RejectedError

MAX_BODY = 128 << 20  # decompressed, of zlib
MAX_PACKED = 1 << 20  # a larger body is never packed: it consists of payload, and stays as zlib makes it
DICTIONARY, MEMORY = 1 << 20, 64 << 20  # of xz: what is written needs, and what may be needed to read
MOST_PLACES = 400  # behind the point
POWER = 10**MOST_PLACES
MOST_DIGITS = 1000  # of a decimal
PREFIX = 4  # bytes that tell the query's length
XZ = b"\xfd7zXZ\x00"
_NUMBER = r'"(-?[0-9]+(?:/[0-9]+)?)"'
_SIDES = re.compile(rf'\["<=",\[\[([0-9]+),"-1"\]\],\[\],{_NUMBER}\],\["<=",\[\[\1,"1"\]\],\[\],{_NUMBER}\],?')
_FRACTION = re.compile(r"(?<![0-9])(-?[0-9]{1,400})/([0-9]{1,400})(?![0-9])")
_PACKED_SIDES = re.compile(r"\x01([^\x01-\x03]*)\x03([^\x01-\x03]*)\x03(,?)|\x02([^\x01-\x03]*)\x03(,?)")
_PLACES = re.compile(r"[0-9]{1,3}")
_MARKS = re.compile(r"[\x00-\x1f]")


def compress(query: bytes, payload: bytes) -> bytes:
    """What a certificate holds of them."""
    plain = zlib.compress(_body(query, payload), 9)
    shorter = _shorter(query) if len(query) + len(payload) <= MAX_PACKED - PREFIX else None
    if shorter is None:
        return plain
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": DICTIONARY, "lc": 0, "lp": 0, "pb": 0}]
    packed = lzma.compress(_body(shorter, payload), lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)
    return packed if len(packed) < len(plain) else plain


def _shorter(query: bytes) -> bytes | None:
    """The packed query, if it is sure to be read back here and there is something to read it with."""
    if find_spec("_lzma") is None:
        return None
    try:
        shorter = pack(query)
        return shorter if len(shorter) <= len(query) and unpack(shorter) == query else None
    except (UnicodeDecodeError, RejectedError):
        return None


def decompress(data: bytes) -> tuple[bytes, bytes]:
    """Query and payload, in bounded memory and time.

    Raises RejectedError E510, EvidenceError E502 (this Python has no xz).
    """
    if not data.startswith(XZ):
        return prefixed(_unzipped(data), MAX_BODY, "the query")
    query, payload = prefixed(_unpacked(data), MAX_PACKED, "the query")
    return unpack(query), payload


def _body(query: bytes, payload: bytes) -> bytes:
    return struct.pack("<I", len(query)) + query + payload


def prefixed(data: bytes, limit: int, what: str) -> tuple[bytes, bytes]:
    """The part that a length announces, and what follows it.  Raises RejectedError E510."""
    if len(data) < 4:
        raise malformed(f"the file ends before {what}")
    (length,) = struct.unpack_from("<I", data)
    if length > limit:
        raise malformed(f"{what} has {length} bytes, more than {limit}")
    if len(data) - 4 < length:
        raise malformed(f"the file ends within {what}")
    return data[4 : 4 + length], data[4 + length :]


def _unzipped(data: bytes) -> bytes:
    """One whole zlib stream and nothing after it, of at most MAX_BODY bytes."""
    reader = zlib.decompressobj()
    try:
        body = reader.decompress(data, MAX_BODY)
        if not reader.eof and reader.decompress(reader.unconsumed_tail, 1):
            raise _too_large(MAX_BODY)
    except zlib.error:
        raise malformed("the compressed part is damaged") from None
    return _ended(body, reader.eof, reader.unused_data)


def _unpacked(data: bytes) -> bytes:
    """One whole xz stream and nothing after it, of at most MAX_PACKED bytes."""
    if find_spec("_lzma") is None:
        raise EvidenceError("E502", "this certificate is packed as xz", fix="use a Python that has the module lzma")
    import lzma

    reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY)
    try:
        body = reader.decompress(data, MAX_PACKED)
        if not reader.eof and not reader.needs_input and reader.decompress(b"", 1):
            raise _too_large(MAX_PACKED)
    except (lzma.LZMAError, EOFError):
        raise malformed("the compressed part is damaged") from None
    return _ended(body, reader.eof, reader.unused_data)


def _too_large(limit: int) -> RejectedError:
    return malformed(f"the proof decompresses to more than {limit} bytes")


def _ended(body: bytes, eof: bool, rest: bytes) -> bytes:
    if not eof:
        raise malformed("the compressed part is cut short")
    if rest:
        raise malformed("bytes follow the compressed part")
    return body


def pack(query: bytes) -> bytes:
    """A shorter text that `unpack` turns into the same bytes."""
    following = 0

    def sides(match: re.Match[str]) -> str:
        nonlocal following
        if match[1] != str(following):
            return match[0]
        following += 1
        lower, upper, comma = match[2], match[3], "," if match[0].endswith(",") else ""
        if lower == _negated(upper):
            return f"\x02{upper}\x03{comma}"
        return f"\x01{lower}\x03{upper}\x03{comma}"

    return _FRACTION.sub(_decimal, _SIDES.sub(sides, query.decode())).encode()


def unpack(packed: bytes) -> bytes:
    """The text that `pack` was given.  Raises RejectedError E510."""
    try:
        text = _with_fractions(packed.decode())
    except UnicodeDecodeError:
        raise malformed("the packed query is no text") from None
    following, size = 0, len(text)

    def sides(match: re.Match[str]) -> str:
        nonlocal following, size
        k, following = following, following + 1
        both = match[4] is None
        lower, upper = (match[1], match[2]) if both else (_negated(match[4]), match[4])
        found = f'["<=",[[{k},"-1"]],[],"{lower}"],["<=",[[{k},"1"]],[],"{upper}"]{match[3] if both else match[5]}'
        size += len(found)
        if size > MAX_PACKED:
            raise _too_large(MAX_PACKED)
        return found

    text = _PACKED_SIDES.sub(sides, text)
    if _MARKS.search(text):
        raise malformed("the packed query is damaged")
    return text.encode()


def _with_fractions(text: str) -> str:
    """Decimals as fractions in lowest terms."""
    first, *others = text.split("\x04")
    out, size = [first], len(text)
    for piece in others:
        before, places = out[-1], _PLACES.match(piece)
        rest = before.rstrip("0123456789")
        number = before[len(rest) :]
        if not 0 < len(number) <= MOST_DIGITS or places is None or int(places[0]) > MOST_PLACES:
            raise malformed("the packed query has a damaged number")
        value = Fraction(int(number), 10 ** int(places[0]))
        out[-1] = rest  # a sign, if there is one, stays
        out += [f"{value.numerator}/{value.denominator}", piece[places.end() :]]
        size += len(out[-2])
        if size > MAX_PACKED:
            raise _too_large(MAX_PACKED)
    return "".join(out)


def _negated(number: str) -> str:
    if number == "0":
        return number
    return number[1:] if number.startswith("-") else "-" + number


def _decimal(match: re.Match[str]) -> str:
    """A fraction as a decimal, if it is one of few places."""
    denominator, fives = int(match[2]), 0
    if denominator <= 1 or POWER % denominator:
        return match[0]
    twos = (denominator & -denominator).bit_length() - 1
    rest = denominator >> twos
    while rest > 1:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    return f"{int(match[1]) * (10**places // denominator)}\x04{places}"
