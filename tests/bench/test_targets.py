from __future__ import annotations

from collections.abc import Callable

import pytest
from bench.standings import RaceResult, Results
from bench.targets import TARGETS, Verdict, judge

OURS = ("emasync", "emasync", "defaults")
CURL, CURL_ALONE = ("curl -Z 32", "curl", "best"), ("curl -Z", "curl", "defaults")
ARIA = ("aria2c", "aria2c", "best")
FIXED = ("emasync n=8", "emasync", "fixed")


def find(verdicts: list[Verdict], what: str) -> Verdict:
    return next(verdict for verdict in verdicts if what in verdict.what)


def test_nothing_measured_is_no_failure() -> None:
    verdicts = judge(Results(facts={}))
    assert len(verdicts) == len(TARGETS) == 19
    assert {verdict.verdict for verdict in verdicts} == {"not measured"}


def test_the_best_variant_of_a_peer_counts(a_race: Callable[..., RaceResult]) -> None:
    results = Results(facts={}, races=[a_race({OURS: 1.5, CURL: 2.0, CURL_ALONE: 1.0})])
    verdict = find(judge(results), "plain, wall against curl")
    assert (verdict.measured, verdict.verdict) == ("1.5 x", "not met")
    assert find(judge(results), "TLS, wall against curl").verdict == "not measured"


@pytest.mark.parametrize(("ours_s", "verdict"), [(1.99, "met"), (2.0, "met"), (2.01, "not met")])
def test_the_bound_itself_is_met(a_race: Callable[..., RaceResult], ours_s: float, verdict: str) -> None:
    results = Results(facts={}, races=[a_race({OURS: ours_s, CURL: 2.0})])
    assert find(judge(results), "plain, wall against curl").verdict == verdict


def test_a_run_of_ours_that_failed_meets_nothing(a_race: Callable[..., RaceResult]) -> None:
    races = [a_race({OURS: None, CURL: 2.0}), a_race({OURS: None, FIXED: 1.0, CURL: 1.0}, case="ebi")]
    verdicts = judge(Results(facts={}, races=races))
    for what in ("plain, wall against curl", "ebi: goodput of our defaults", "ebi: goodput against"):
        assert (find(verdicts, what).measured, find(verdicts, what).verdict) == ("failed", "not met")


def test_a_peer_that_failed_is_no_yardstick(a_race: Callable[..., RaceResult]) -> None:
    results = Results(facts={}, races=[a_race({OURS: 1.0, CURL: None, ARIA: 4.0}, case="one4g")])
    assert find(judge(results), "4 GiB in ranges, plain").measured == "0.25 x"


def test_goodput_is_compared_with_the_sweep_and_with_strangers(a_race: Callable[..., RaceResult]) -> None:
    results = Results(facts={}, races=[a_race({OURS: 10.0, FIXED: 8.0, CURL: 20.0}, case="ebi")])
    ours, peers = find(judge(results), "ebi: goodput of our"), find(judge(results), "ebi: goodput against")
    assert (ours.measured, ours.verdict) == ("0.8 x", "not met")
    assert (peers.measured, peers.verdict) == ("2 x", "met")


def test_figures_are_judged_in_their_units() -> None:
    figures = {"marginal_cpu_us emasync": 74.0, "overhead": 0.16, "start_up_s": 0.39}
    verdicts = judge(Results(facts={}, figures=figures))
    assert find(verdicts, "one more 64 KiB object").verdict == "met"
    assert (find(verdicts, "durability, tmpfs").measured, find(verdicts, "durability, tmpfs").verdict) == (
        "16 %",
        "not met",
    )
    assert find(verdicts, "first request").verdict == "met"


def test_memory_is_the_largest_of_our_own_default_runs(a_race: Callable[..., RaceResult]) -> None:
    results = Results(facts={}, races=[a_race({OURS: 1.0}), a_race({CURL: 1.0}, tls=True)])
    assert find(judge(results), "peak memory").measured == "100 MiB"


def test_a_smaller_job_is_named_as_such(a_race: Callable[..., RaceResult]) -> None:
    results = Results(facts={}, scaled=True, races=[a_race({OURS: 1.0, CURL: 2.0})])
    assert find(judge(results), "plain, wall against curl").measured == "0.5 x, scaled down"
