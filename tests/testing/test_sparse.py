"""Bodies and volumes that exist as a recipe: any range of them, as if they were there."""

from __future__ import annotations

import hashlib
import pickle
import random
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import numpy as np
import pytest

from emasync.testing import Archive, MemoryStore, empiar, epfl
from emasync.testing.pixels import MOST_ROWS, DriftingVolume
from emasync.testing.sparse import Body, LayeredStore, Literal, SparseStore

SLICE = f"{empiar.DATA_HOST}/empiar/world_availability/11759/data/F57-8_test1_3VBSED_slice_0015.dm3"
PARTS = (b"head", b"", b"a longer stretch in the middle", b"x", b"end")


def body() -> Body:
    return Body(tuple(map(Literal, PARTS)))


def test_every_range_of_a_body_is_that_of_its_pieces_joined() -> None:
    whole = b"".join(PARTS)
    made = body()
    assert made.size_bytes == len(whole)
    for start in range(len(whole) + 1):
        for stop in range(start, len(whole) + 3):
            assert made.read(start, stop) == whole[start:stop]


def test_pieces_that_a_range_does_not_touch_are_not_asked() -> None:
    class Forbidden(Literal):
        def read(self, start: int, stop: int) -> bytes:
            raise AssertionError(f"asked for {start}-{stop}")

    made = Body((Forbidden(b"before"), Literal(b"wanted"), Forbidden(b"behind")))
    assert made.start_of(1) == 6
    assert made.read(6, 12) == b"wanted"
    with pytest.raises(AssertionError, match="asked for 0-1"):
        made.read(7, 13)


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "<i2"])
@pytest.mark.parametrize("shape", [(5, 7, 11), (3, MOST_ROWS + 9, 4), (1, 1, 1)])
def test_bytes_and_voxels_of_a_volume_are_the_same(shape: tuple[int, int, int], dtype: str) -> None:
    volume = DriftingVolume(shape, dtype, seed=3)
    joined = b"".join(volume.page(number).read(0, volume.page_bytes) for number in range(shape[0]))
    whole = volume.whole()
    assert whole.dtype.isnative
    np.testing.assert_array_equal(np.frombuffer(joined, dtype).reshape(shape), whole)
    chance = random.Random(1)
    for _ in range(50):
        start = chance.randrange(volume.page_bytes)
        stop = chance.randint(start, volume.page_bytes)
        page = chance.randrange(shape[0])
        assert volume.page(page).read(start, stop) == joined[page * volume.page_bytes :][start:stop]


def test_a_block_is_cut_out_of_the_whole_and_sections_differ() -> None:
    volume = DriftingVolume((9, 40, 50), "uint16", seed=1)
    whole = volume.whole()
    np.testing.assert_array_equal(volume.block((2, 7, 11), (3, 5, 13)), whole[2:5, 7:12, 11:24])
    assert len({page.tobytes() for page in whole}) == 9
    assert not np.array_equal(whole, DriftingVolume((9, 40, 50), "uint16", seed=2).whole())


def test_the_largest_volumes_cost_what_is_read_of_them() -> None:
    volume = DriftingVolume((1 << 20, 1 << 14, 256))
    assert volume.page_bytes << 20 == 1 << 42
    far = volume.block(((1 << 20) - 1, (1 << 14) - 2, 0), (1, 2, 256))
    assert volume.page((1 << 20) - 1).read(volume.page_bytes - 512, volume.page_bytes) == far.tobytes()


def test_a_store_of_bodies() -> None:
    store = SparseStore({"b/two": body(), "b/one": Literal(b"1"), "bb/three": Literal(b"333")})
    assert [row.key for row in store.scan("b", "")] == ["one", "two"]
    assert [row.key for row in store.scan("b", "p")] == ["two"]
    assert (store.has_bucket("b"), store.has_bucket("two"), store.get("b/three")) == (True, False, None)
    found = store.get("b/two")
    assert found is not None
    assert bytes(found.read(2, 9)) == b"ada lon"
    assert found.tag.endswith("-1"), "opaque: nobody takes it for an MD5"
    assert next(store.scan("b", "two")).tag == found.tag


def test_layers_lie_side_by_side_and_the_first_one_answers() -> None:
    above = MemoryStore({"b/shared": b"above", "b/z": b"z"})
    below = MemoryStore({"b/shared": b"below", "b/a": b"a", "c/only": b"c"})
    store = LayeredStore((above, below))
    assert [(row.key, row.size_bytes) for row in store.scan("b", "")] == [("a", 1), ("shared", 5), ("z", 1)]
    assert [row.key for row in store.scan("b", "b")] == ["shared", "z"]
    shared = store.get("b/shared")
    assert shared is not None
    assert bytes(shared.read(0, 5)) == b"above"
    assert (store.has_bucket("c"), store.has_bucket("d"), store.get("d/x")) == (True, False, None)
    tags = [row.tag for row in store.scan("b", "shared")]
    assert tags[0] == hashlib.md5(b"above", usedforsecurity=False).hexdigest()


def test_an_archive_serves_ranges_of_a_body_far_behind_its_beginning(archive: Any) -> None:
    volume = DriftingVolume((40_000, 512, 512))
    made = Body((Literal(b"head"), *(volume.page(number) for number in range(40_000))))
    served: Archive = archive(SparseStore({"b/large": made}))
    start = 4 + 39_999 * volume.page_bytes
    with closing(HTTPConnection("127.0.0.1", served.port)) as connection:
        connection.request("GET", "/b/large", headers={"Range": f"bytes={start}-{start + 999}"})
        answer = connection.getresponse()
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + 999}/{4 + 40_000 * 512 * 512}"
        assert answer.read() == volume.page(39_999).read(0, 1000)


def test_twins_of_true_size_go_to_another_process() -> None:
    for twin, path in ((epfl.hippocampus(epfl.TRUE_SHAPE), f"{epfl.FOLDER}/volumedata.tif"), (empiar.retina(), SLICE)):
        here, there = twin.store.get(path), pickle.loads(pickle.dumps(twin.store)).get(path)  # noqa: S301 - our own
        assert here is not None
        span = (here.size_bytes - 5000, here.size_bytes)
        assert bytes(there.read(*span)) == bytes(here.read(*span))


def test_bodies_go_to_another_process() -> None:
    volume = DriftingVolume((2, 3, 4))
    store = SparseStore({"b/k": Body((Literal(b"h"), volume.page(1)))})
    again = pickle.loads(pickle.dumps(store)).get("b/k")  # noqa: S301 - our own
    assert bytes(again.read(0, 13)) == b"h" + volume.page(1).read(0, 12)
