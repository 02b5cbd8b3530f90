"""Topics: built and parsed in one place, both ways alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import EncodingError
from evidence.topics import Leaf, Topic, subscription

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,47}", fullmatch=True)


@given(names, names, st.sampled_from(Leaf))
def test_a_topic_is_parsed_as_it_was_built(site: str, device: str, leaf: Leaf) -> None:
    topic = Topic(site, device, leaf)
    assert Topic.parse(str(topic)) == topic


def test_a_subscription_hears_one_leaf_of_every_device() -> None:
    assert subscription(Leaf.EVENT) == "zaigang/v1/+/+/event"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "zaigang/v1/a/b",
        "zaigang/v1/a/b/nothing",
        "zaigang/v1/a/b/event/",
        "zaigang/v1/a/b/event\n",
        "/zaigang/v1/a/b/event",
        "zaigang/v2/a/b/event",
        "zaigang/v1/+/b/event",
        "zaigang/v1/a/#",
        "zaigang/v1/A/b/event",
        "zaigang/v1//b/event",
        "zaigang/v1/a/b/c/event",
        f"zaigang/v1/{'a' * 49}/b/event",
    ],
)
def test_what_is_no_topic_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        Topic.parse(text)
