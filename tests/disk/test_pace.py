from __future__ import annotations

import pytest

from emasync.disk.pace import UNIT_BYTES, Hop, WriterPlace


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(place: WriterPlace, unit_s: float, hops: int = 1) -> Hop:
    for _ in range(hops):
        hop = place.next_hop()
        place.observed(hop, hop.files, hop.files * 1000, hop.files * unit_s)
    return place.next_hop()


def test_a_fast_disk_is_written_to_on_the_loop_at_once(clock: Clock) -> None:
    hop = WriterPlace(create_s=50e-6, clock=clock).next_hop()
    assert hop.inline
    assert hop.files == 100, "5 ms' worth"
    assert hop.size_bytes == hop.files * UNIT_BYTES


@pytest.mark.parametrize("create_s", [0.001, None])
def test_a_slow_or_unknown_disk_begins_with_a_trial(clock: Clock, create_s: float | None) -> None:
    place = WriterPlace(create_s=create_s, clock=clock)
    assert (place.next_hop().inline, place.next_hop().files) == (True, 8)
    assert not run(place, 0.001).inline, "which it does not pass"


def test_a_hop_on_the_loop_stays_below_its_budget(clock: Clock) -> None:
    place = WriterPlace(create_s=20e-6, clock=clock)
    assert place.next_hop().files == 128, "longer ones gain nothing"
    assert 24 <= run(place, 200e-6, hops=50).files <= 26
    assert place.next_hop().inline


def test_large_bodies_count_by_their_bytes(clock: Clock) -> None:
    place = WriterPlace(create_s=50e-6, clock=clock)
    hop = place.next_hop()
    for _ in range(50):
        place.observed(hop, 4, 4 * 16 * UNIT_BYTES, 4 * 16 * 50e-6)
    assert place.next_hop() == hop


def test_what_has_become_slow_goes_to_a_thread_and_comes_back_later(clock: Clock) -> None:
    place = WriterPlace(create_s=50e-6, clock=clock)
    assert run(place, 450e-6, hops=50).inline
    assert not run(place, 900e-6, hops=50).inline
    clock.now_s += 9
    assert not place.next_hop().inline
    clock.now_s += 2
    trial = place.next_hop()
    assert (trial.inline, trial.files) == (True, 8), "the smallest hop on trial"
    assert run(place, 50e-6).inline
    assert place.next_hop().files == 100


def test_a_trial_that_fails_goes_back_at_once(clock: Clock) -> None:
    place = WriterPlace(create_s=0.001, clock=clock)
    clock.now_s += 11
    assert place.next_hop().inline
    assert not run(place, 900e-6).inline
    clock.now_s += 11
    assert place.next_hop().inline


def test_between_in_and_out_lies_a_margin(clock: Clock) -> None:
    middling_s = 500e-6
    assert run(WriterPlace(create_s=50e-6, clock=clock), middling_s, hops=50).inline
    place = WriterPlace(create_s=0.001, clock=clock)
    clock.now_s += 11
    assert not run(place, middling_s).inline


def test_one_stop_on_the_loop_is_one_too_many(clock: Clock) -> None:
    place = WriterPlace(create_s=50e-6, clock=clock)
    quiet_s = []
    for _ in range(9):
        hop = place.next_hop()
        assert hop.inline
        place.observed(hop, 1, 1000, 0.2)
        began_s = clock.now_s
        while not place.next_hop().inline:
            clock.now_s += 1
        quiet_s.append(clock.now_s - began_s)
    assert quiet_s == [20, 40, 80, 160, 320, 640, 640, 640, 640]


def test_trust_comes_back_with_time(clock: Clock) -> None:
    place = WriterPlace(create_s=50e-6, clock=clock)
    hop = place.next_hop()
    for _ in range(3):
        place.observed(hop, 1, 1000, 0.2)
    clock.now_s += 80
    for _ in range(4):
        run(place, 50e-6)
        clock.now_s += 80
    place.observed(hop, 1, 1000, 0.2)
    clock.now_s += 20
    assert place.next_hop().inline


def test_waiting_for_the_interpreter_is_no_outlier(clock: Clock) -> None:
    place = WriterPlace(create_s=0.001, clock=clock)
    run(place, 0.001)
    clock.now_s += 9
    hop = place.next_hop()
    assert not hop.inline
    place.observed(hop, 1, 1000, 0.2)
    clock.now_s += 2
    assert place.next_hop().inline
    clock.now_s -= 2
    place.observed(hop, 1, 1000, 0.6)
    clock.now_s += 9
    assert not place.next_hop().inline, "but half a second is one"


def test_a_network_filesystem_is_never_written_to_on_the_loop(clock: Clock) -> None:
    place = WriterPlace(create_s=10e-6, network=True, clock=clock)
    for _ in range(100):
        assert not run(place, 10e-6).inline
        clock.now_s += 100
