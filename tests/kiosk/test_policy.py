"""The verdict is exactly the rule of docs/protocol.md, for every combination of outcomes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evidence.events import Check, Method, Outcome, Verdict
from kiosk.policy import FACE_CHECKS, PROFILES, Demand, Policy, complete, judge

OUTCOMES = st.sampled_from(list(Outcome))


def check(name: str, outcome: Outcome) -> Check:
    return Check(name=name, outcome=outcome, reason="ok: test")


def site(review: tuple[Method, ...] = ()) -> Policy:
    return Policy(name="t", face=Demand(required=("a", "b"), optional=("c",)), review_methods=review)


@pytest.mark.parametrize("outcomes", list(itertools.product(Outcome, repeat=3)))
def test_every_combination_has_the_verdict_of_the_rule(outcomes: tuple[Outcome, Outcome, Outcome]) -> None:
    a, b, c = outcomes
    verdict = judge([check("a", a), check("b", b), check("c", c)], site(), Method.FACE)
    if Outcome.FAILED in (a, b):
        assert verdict is Verdict.REFUSED
    elif a is b is Outcome.PASSED and c is not Outcome.FAILED:
        assert verdict is Verdict.VERIFIED
    else:
        assert verdict is Verdict.REVIEW


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), OUTCOMES))
def test_nothing_missing_is_ever_verified(outcomes: dict[str, Outcome]) -> None:
    verdict = judge([check(name, outcome) for name, outcome in outcomes.items()], site(), Method.FACE)
    if verdict is Verdict.VERIFIED:
        assert outcomes.get("a") is outcomes.get("b") is Outcome.PASSED
        assert Outcome.FAILED not in outcomes.values()


@given(OUTCOMES, OUTCOMES)
def test_a_check_reported_twice_counts_with_its_worst_outcome(first: Outcome, second: Outcome) -> None:
    checks = [check("a", first), check("a", second), check("b", Outcome.PASSED)]
    verdict = judge(checks, site(), Method.FACE)
    assert (verdict is Verdict.VERIFIED) == (first is second is Outcome.PASSED)
    assert (verdict is Verdict.REFUSED) == (Outcome.FAILED in (first, second))


def test_a_check_that_nobody_demanded_still_counts_when_it_fails() -> None:
    checks = [check("a", Outcome.PASSED), check("b", Outcome.PASSED), check("surprise", Outcome.FAILED)]
    assert judge(checks, site(), Method.FACE) is Verdict.REVIEW


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_a_check_that_broke_is_never_verified_under_any_profile_and_one_without_its_sensor_may_be(
    profile: Policy,
) -> None:
    for method in profile.methods():
        demand = profile.demand(method)
        assert demand is not None
        passed = [check(name, Outcome.PASSED) for name in demand.required]
        for name in (*demand.optional, "nobody_demands_it"):
            broken = Check(name=name, outcome=Outcome.NOT_RUN, reason="error: RuntimeError: gone")
            absent = Check(name=name, outcome=Outcome.NOT_RUN, reason="no_scanner: there is no Bluetooth")
            assert judge([*passed, broken], profile, method) is Verdict.REVIEW
            as_ever = judge(passed, profile, method)
            assert judge([*passed, absent], profile, method) is as_ever
            assert (as_ever is Verdict.VERIFIED) == (method not in profile.review_methods)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("not_reached", Verdict.REVIEW),  # the face was away again and again until no colours were left
        ("bright_room", Verdict.REVIEW),  # a lamp at the wall, or a bright recording that fills the picture
        ("switched_off", Verdict.VERIFIED),
        ("excused", Verdict.VERIFIED),
        ("no_acknowledgement", Verdict.VERIFIED),
        ("exposure_free", Verdict.VERIFIED),
    ],
)
def test_colours_that_whoever_stood_there_could_keep_from_showing_are_reviewed(code: str, verdict: Verdict) -> None:
    passed = [check(name, Outcome.PASSED) for name in (*FACE_CHECKS, "gps")]
    asked = code in ("not_reached", "bright_room", "no_acknowledgement", "exposure_free")
    observed = {"painted": 2} if asked else None
    flash = Check(name="flash", outcome=Outcome.NOT_RUN, observed=observed, reason=f"{code}: why")
    assert judge([*passed, flash], PROFILES["outdoor"], Method.FACE) is verdict
    demand = PROFILES["outdoor"].face
    assert demand is not None
    assert judge(complete(passed, demand), PROFILES["outdoor"], Method.FACE) is Verdict.VERIFIED  # nobody asked


def test_a_method_that_policy_sends_to_review_is_never_verified() -> None:
    checks = [check("a", Outcome.PASSED), check("b", Outcome.PASSED)]
    assert judge(checks, site(review=(Method.FACE,)), Method.FACE) is Verdict.REVIEW


def test_a_method_that_the_site_does_not_offer_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="does not offer"):
        judge([], site(), Method.BADGE_PIN)


def test_a_demand_of_nothing_is_no_demand() -> None:
    with pytest.raises(ValidationError):
        Demand(required=())
    with pytest.raises(ValidationError):
        Demand(required=("a",), optional=("a",))


@pytest.mark.parametrize("name", list(PROFILES))
@pytest.mark.parametrize("method", list(Method))
def test_every_profile_refuses_on_each_required_failure_and_reviews_each_missing_check(
    name: str, method: Method
) -> None:
    policy = PROFILES[name]
    demand = policy.demand(method)
    if demand is None:
        return
    passed = {one: check(one, Outcome.PASSED) for one in demand.required}
    expected = Verdict.REVIEW if method in policy.review_methods else Verdict.VERIFIED
    assert judge(list(passed.values()), policy, method) is expected
    for one in demand.required:
        others = [value for key, value in passed.items() if key != one]
        assert judge([*others, check(one, Outcome.FAILED)], policy, method) is Verdict.REFUSED
        assert judge([*others, check(one, Outcome.NOT_RUN)], policy, method) is Verdict.REVIEW
        assert judge(others, policy, method) is Verdict.REVIEW


def test_the_shipped_profiles_demand_what_their_names_say() -> None:
    assert set(PROFILES) == {"outdoor", "indoor", "badge-only", "demo"}
    for name in ("outdoor", "indoor", "demo"):
        face, pin = PROFILES[name].face, PROFILES[name].badge_pin
        assert face is not None and set(FACE_CHECKS) <= set(face.required)
        assert pin is not None and "pin" in pin.required  # refusing face recognition never blocks a punch
        assert set(face.required) - set(FACE_CHECKS) == set(pin.required) - {"pin"}
    assert "gps" in PROFILES["outdoor"].face.required  # type: ignore[union-attr]
    assert "gps" not in PROFILES["indoor"].face.required  # type: ignore[union-attr]
    assert PROFILES["badge-only"].face is None


def test_what_nobody_reported_is_completed_as_not_run() -> None:
    checks = complete([check("b", Outcome.PASSED)], Demand(required=("a", "b"), optional=("c",)))
    assert {one.name: one.outcome for one in checks} == {
        "b": Outcome.PASSED,
        "a": Outcome.NOT_RUN,
        "c": Outcome.NOT_RUN,
    }


def test_the_hash_changes_with_every_demand() -> None:
    base = site()
    assert base.hash == site().hash
    assert base.hash != base.model_copy(update={"attempt_limit_s": 21}).hash
    assert base.hash != site(review=(Method.FACE,)).hash


@pytest.mark.parametrize("name", list(PROFILES))
@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("seal", [Outcome.FAILED, Outcome.NOT_RUN, None])
def test_without_a_passed_seal_no_method_of_any_profile_is_verified_and_none_is_refused_for_it(
    name: str, method: Method, seal: Outcome | None
) -> None:
    policy = PROFILES[name].sealed()
    demand = policy.demand(method)
    if demand is None:
        return
    passed = [check(one, Outcome.PASSED) for one in demand.required + demand.optional]
    reported = [*passed, check("enclosure", seal)] if seal else passed
    assert judge(reported, policy, method) is Verdict.REVIEW
    whole = judge([*passed, check("enclosure", Outcome.PASSED)], policy, method)
    assert whole is (Verdict.REVIEW if method in policy.review_methods else Verdict.VERIFIED)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "enclosure"]), OUTCOMES))
def test_a_seal_only_ever_caps(outcomes: dict[str, Outcome]) -> None:
    checks = [check(name, outcome) for name, outcome in outcomes.items()]
    sealed, open_ = judge(checks, site().sealed(), Method.FACE), judge(checks, site(), Method.FACE)
    assert (sealed is Verdict.REFUSED) == (open_ is Verdict.REFUSED)
    if sealed is Verdict.VERIFIED:
        assert open_ is Verdict.VERIFIED and outcomes.get("enclosure") is Outcome.PASSED


def test_a_seal_that_nobody_reported_is_completed_as_not_run() -> None:
    checks = complete([], Demand(required=("a",)), ("enclosure",))
    assert [(one.name, one.outcome) for one in checks] == [("a", Outcome.NOT_RUN), ("enclosure", Outcome.NOT_RUN)]


def test_the_policy_in_force_says_whether_the_enclosure_is_watched() -> None:
    assert site().sealed().hash != site().hash
    assert site().sealed().document()["seals"] == ["enclosure"]
