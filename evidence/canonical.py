"""Canonical bytes: RFC 8785 (JCS) JSON, restricted to what every language reads alike.

Restrictions beyond RFC 8785: no floats, integers below 2^53 in magnitude, no duplicate keys.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import rfc8785

from evidence.errors import DuplicateKey, EncodingError, NotCanonical, NotJson

MAX_SAFE_INTEGER = 2**53 - 1  # RFC 8785 section 3.2.2.3: beyond it IEEE doubles lose integers
MAX_DEPTH = 32  # an event nests five deep; a bound keeps a hostile payload from exhausting the stack

# Patterns of their own, so that each has a literal beginning to be sought by.
_UNLIKE_INTEGER = re.compile(rb'":[-0-9](?:[0-9]*[.eE]|[0-9]{15})')  # also a few long negative ones that are alike
_LISTED = re.compile(rb"\[-?[0-9]")
_LISTED_LATER = re.compile(rb",-?[0-9]")
_compact = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> bytes:
    """Serialise `value` to canonical bytes.

    Raises EncodingError for floats, unsafe integers, non-string keys and lone surrogates.
    """
    try:
        ascii_keys = _check(value, 0)
        if not ascii_keys:
            return rfc8785.dumps(value)
        # For ASCII keys and no floats the C encoder writes exactly the RFC 8785 bytes, six times as fast;
        # tests/evidence/test_canonical.py holds the two against each other.
        return _compact.encode(value).encode()
    except EncodingError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise EncodingError(f"the value has no canonical form: {error}") from error


def parse_canonical(data: bytes) -> Any:
    """Parse bytes that must already be canonical.

    Raises NotJson, DuplicateKey, or NotCanonical (which also covers floats, unsafe integers and too deep nesting).
    """
    try:
        # Two keys of one name, white space or an odd escape do not survive being written again.
        if _is_plain(data):
            value = orjson.loads(data)
            again = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        else:
            value = _quick.decode(data.decode())
            again = canonical(value)
        if again == data:
            return value
    except (EncodingError, ValueError, RecursionError):
        pass  # something is wrong; what it is, the slow way below says by name
    return _parse_slowly(data)


def _is_plain(data: bytes) -> bool:
    """Say whether orjson reads and writes this as we do, should it come out again byte for byte.

    ASCII bytes have ASCII keys, which sort alike by bytes and by UTF-16 units; no more brackets than MAX_DEPTH nest no
    deeper; and orjson is shown no float and no integer that it may take for one. Without white space, which would not
    come out again, a number stands behind a key's colon or in a list.
    """
    if not data.isascii() or data[:1] != b"{" or data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        return False
    return not (_UNLIKE_INTEGER.search(data) or _LISTED.search(data) or _LISTED_LATER.search(data))


def _parse_slowly(data: bytes) -> Any:
    """What `parse_canonical` means, step by step; the tests hold the quick way against it."""
    value = parse_strict(data)
    try:
        again = canonical(value)
    except EncodingError as error:
        raise NotCanonical(str(error)) from error
    if again != data:
        raise NotCanonical("the JSON is not in RFC 8785 form; the signer must serialise canonically")
    return value


def parse_strict(data: bytes) -> Any:
    """Parse JSON, refusing duplicate keys, constants outside JSON and bytes that are not UTF-8."""
    try:
        text = data.decode()
        try:
            return _strict.decode(text)
        except DuplicateKey:
            _any_keys.decode(text)  # what is no JSON at all is said to be that, wherever the key stood
            raise
    except EncodingError:
        raise
    except UnicodeDecodeError as error:
        raise NotJson(f"the bytes are not UTF-8 from byte {error.start} on") from error
    except (ValueError, RecursionError) as error:
        raise NotJson(f"the bytes are not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKey(f"the key {key!r} stands twice in one object")
            seen.add(key)
    return result


def _no_constant(name: str) -> Any:
    raise NotJson(f"{name} is not JSON")


def _refuse(text: str) -> Any:
    raise NotCanonical(f"{text[:32]} has no place in canonical JSON here")


def _safe_integer(text: str) -> int:
    value = int(text)
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise NotCanonical(f"the integer {text[:32]} is beyond 2^53 and would be read differently elsewhere")
    return value


_quick = json.JSONDecoder(parse_float=_refuse, parse_int=_safe_integer, parse_constant=_refuse)


def _check(value: Any, depth: int) -> bool:
    """Refuse what has no portable form; say whether all keys are ASCII."""
    if depth > MAX_DEPTH:
        raise EncodingError(f"the value nests deeper than {MAX_DEPTH}")
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            raise EncodingError(f"the integer {value} is beyond 2^53 and would be read differently elsewhere")
        return True
    if kind is dict:
        ascii_keys = True
        for key, item in value.items():
            if type(key) is not str:
                raise EncodingError(f"the key {key!r} is not a string")
            ascii_keys = _check(item, depth + 1) and key.isascii() and ascii_keys
        return ascii_keys
    if kind is list or kind is tuple:
        ascii_keys = True
        for item in value:
            ascii_keys = _check(item, depth + 1) and ascii_keys
        return ascii_keys
    raise EncodingError(f"a {kind.__name__} has no place in canonical JSON here (no floats, no objects)")


# Made once: json.loads would make a decoder a call, which costs as much as decoding an event.
_strict = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
_any_keys = json.JSONDecoder(parse_constant=_no_constant)
