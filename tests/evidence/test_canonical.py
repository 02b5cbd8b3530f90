"""Canonical bytes: one value, one form, and no second reading of it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence import canonical as module
from evidence.canonical import MAX_DEPTH, MAX_SAFE_INTEGER, canonical, parse_canonical, parse_strict
from evidence.errors import DuplicateKey, EncodingError, EvidenceError, NotCanonical, NotJson

EXAMPLES = 10_000 if os.environ.get("ZAIGANG_LONG") == "1" else 100

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ascii_text = st.text(st.characters(max_codepoint=127), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text | ascii_text, inner, max_size=4)
)


@given(values)
@pytest.mark.long
@settings(max_examples=EXAMPLES)
def test_our_bytes_are_the_bytes_of_rfc_8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(st.dictionaries(ascii_text, ascii_text | st.integers(-9, 9), max_size=8))
def test_the_quick_encoder_agrees_on_every_ascii_key_and_control_character(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


def test_every_single_character_has_one_form() -> None:
    for block in range(0, 0x11000, 256):
        letters = [chr(code) for code in range(block, block + 256) if not 0xD800 <= code < 0xE000]
        assert canonical(letters) == rfc8785.dumps(letters)
        keys = dict.fromkeys(letters, 1)
        assert canonical(keys) == rfc8785.dumps(keys)
        assert parse_canonical(canonical(keys)) == keys


@given(values)
@pytest.mark.long
@settings(max_examples=EXAMPLES)
def test_parsing_gives_back_what_was_written(value: Any) -> None:
    again = parse_canonical(canonical(value))
    assert again == value and canonical(again) == canonical(value)


@given(values, st.integers(0, 2**20), st.sampled_from(list(b' \n"\\{}[],:0-.eE\x00\x7f\xff')), st.booleans())
@pytest.mark.long
@settings(max_examples=EXAMPLES)
def test_the_quick_way_and_the_slow_way_judge_alike(value: Any, place: int, byte: int, insert: bool) -> None:
    data = bytearray(canonical(value))
    place %= len(data) + insert
    if insert:
        data.insert(place, byte)
    else:
        data[place] = byte
    assert _outcome(parse_canonical, bytes(data)) == _outcome(module._parse_slowly, bytes(data))


def _outcome(parse: Any, data: bytes) -> Any:
    try:
        return repr(parse(data))
    except EvidenceError as error:
        return type(error)


@given(values, text, values, values, st.lists(st.booleans(), max_size=MAX_DEPTH - 10))
@pytest.mark.long
@settings(max_examples=EXAMPLES)
def test_a_key_named_twice_is_found_at_any_depth(before: Any, key: str, one: Any, two: Any, nest: list[bool]) -> None:
    name = canonical(key)
    data = b"{" + name + b":" + canonical(one) + b"," + name + b":" + canonical(two) + b"}"
    for in_list in nest:
        data = b"[" + canonical(before) + b"," + data + b"]" if in_list else b'{"k":' + data + b"}"
    with pytest.raises(DuplicateKey):
        parse_strict(data)
    with pytest.raises(DuplicateKey):
        parse_canonical(data)


def test_keys_that_differ_only_in_their_escapes_are_the_same_key() -> None:
    with pytest.raises(DuplicateKey):
        parse_strict(rb'{"a":1,"\u0061":2}')


# RFC 8785, section 3.2.3: the property sorting example.
SORTING = (
    r'{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",'
    r'"\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}'
)
SORTED = [
    "Carriage Return",
    "One",
    "Control",
    "Latin Small Letter O With Diaeresis",
    "Euro Sign",
    "Emoji: Grinning Face",
    "Hebrew Letter Dalet With Dagesh",
]


def test_rfc_8785_sorts_keys_by_utf_16_units() -> None:
    assert list(json.loads(canonical(json.loads(SORTING))).values()) == SORTED


def test_rfc_8785_example_of_strings_and_literals() -> None:
    # Section 3.2.2, its "numbers" left out: they are floats and have no place here.
    value = json.loads(r'{"string":"\u20ac$\u000F\u000aA'
                       r"'\u0042\u0022\u005c\\\"\/" r'","literals":[null,true,false]}')  # fmt: skip
    wanted = '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    assert canonical(value) == wanted.encode()


# RFC 8785, appendix B: each is a JSON number that ECMAScript writes with a fraction or an exponent, or beyond 2^53.
APPENDIX_B_FLOATS = [
    "5e-324",
    "1.7976931348623157e+308",
    "9007199254740994.0",
    "295147905179352830000",
    "9.999999999999997e+22",
    "1e+23",
    "1.0000000000000001e+23",
    "999999999999999700000",
    "999999999999999900000",
    "1e+21",
    "9.999999999999997e-7",
    "0.000001",
    "333333333.3333332",
    "333333333.33333325",
    "333333333.3333333",
    "333333333.3333334",
    "333333333.33333343",
    "-0.0000033333333333333333",
    "1424953923781206.2",
]


@pytest.mark.parametrize("number", [*APPENDIX_B_FLOATS, "9007199254740992", "-9007199254740992", "-0", "1.0", "1E2"])
def test_a_number_that_two_readers_could_read_differently_is_refused(number: str) -> None:
    with pytest.raises(NotCanonical):
        parse_canonical(b'{"n":%s}' % number.encode())


def test_the_last_safe_integers_pass_and_the_next_do_not() -> None:
    for edge in (MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER):
        assert parse_canonical(canonical(edge)) == edge
        beyond = edge + (1 if edge > 0 else -1)
        with pytest.raises(EncodingError):
            canonical(beyond)
        with pytest.raises(NotCanonical):
            parse_canonical(str(beyond).encode())


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), float("inf"), {1: 2}, {None: 1}, b"x", {"a": {1, 2}}, "\ud800", {"\udfff": 1}, object()],
)
def test_a_value_without_a_portable_form_is_refused(value: Any) -> None:
    with pytest.raises(EncodingError):
        canonical(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"{",
        b"[1,]",
        b"{'a':1}",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"01",
        b"nul",
        b"1 2",
        b"{}\x00",
        '{"a":1}'.encode("utf-16"),
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
def test_what_is_not_json_is_named_so(data: bytes) -> None:
    with pytest.raises(NotJson):
        parse_canonical(data)


@pytest.mark.parametrize(
    "data",
    [b" {}", b"{}\n", b'{"b":1,"a":2}', b'{"a": 1}', rb'"\u0061"', rb'"\/"', rb'"\u000A"', b'"\\u00E4"', rb'"\ud800"'],
)
def test_json_in_another_form_is_named_not_canonical(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        parse_canonical(data)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_bounded_alike_for_writers_and_readers(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    fits = (opening * MAX_DEPTH + "1" + closing * MAX_DEPTH).encode()
    assert canonical(parse_canonical(fits)) == fits
    with pytest.raises(NotCanonical):
        parse_canonical(opening.encode() + fits + closing.encode())
    with pytest.raises(EncodingError):
        canonical([parse_canonical(fits)])


def test_brackets_inside_strings_are_no_nesting() -> None:
    data = canonical(["[{" * 100])
    assert canonical(parse_canonical(data)) == data


NUMBERS = ["0", "-0", "7", "-1", "1.5", "-1.0", "1e3", "1E3", "1.5e-7", "9007199254740991", "9007199254740992"]
NUMBERS += ["-9007199254740991", "-9007199254740992", "18446744073709551615", "18446744073709551616", "1" * 40]
PLACES = ['{"a":%s}', '{"a":[%s]}', '{"a":[1,%s]}', '{"a":["b",%s]}', '{"a":{"b":%s,"c":1}}', '{"a": %s}', "[%s]", "%s"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_judged_alike_by_the_quick_way_and_the_slow_way_wherever_it_stands(place: str, number: str) -> None:
    data = (place % number).encode()
    assert _outcome(parse_canonical, data) == _outcome(module._parse_slowly, data)


@given(st.dictionaries(ascii_text, ascii_text | st.integers(-9, 9) | st.lists(ascii_text, max_size=3), max_size=8))
def test_plain_text_comes_back_from_the_quick_way_as_it_was(value: Any) -> None:
    assert parse_canonical(canonical(value)) == value == module._parse_slowly(canonical(value))


def test_keys_in_the_order_of_their_utf_8_bytes_are_refused_where_utf_16_has_another() -> None:
    right, wrong = '{"\U0001f600":1,"\uff61":2}'.encode(), '{"\uff61":2,"\U0001f600":1}'.encode()
    assert parse_canonical(right) == {"\U0001f600": 1, "\uff61": 2}
    with pytest.raises(NotCanonical):
        parse_canonical(wrong)
