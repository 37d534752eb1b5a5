"""Nothing that a stranger wrote or sent reaches loopback, private or link-local addresses (docs/threat-model.md, S).

127.0.0.2 plays the internet here (the fetcher is told so), 127.0.0.1 the machine and its network.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transport.scripted import Say, ok, scripted

import emasync
from emasync.errors import EmasyncError, ErrorKind, RefusedError
from emasync.manifest.load import load_manifest
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.sources.links.reading import names_inside
from emasync.testing import Archive
from emasync.testing.conformance import Recorder
from emasync.transport.governed import GovernedFetcher
from emasync.transport.neighbourhood import MAX_REMEMBERED, Neighbourhood
from emasync.transport.redirects import is_private
from emasync.transport.resolver import AddressInfo, DaemonResolver
from emasync.transport.surroundings import Surroundings

PUBLIC, INSIDE = "127.0.0.2", "127.0.0.1"
both = pytest.mark.parametrize("wire", [True, False], ids=["wire", "aiohttp"])
STRANGER = Settings(allow_private=False)


def judge(address: str) -> bool | None:
    return False if address == PUBLIC else is_private(address)


class Names(DaemonResolver):
    """Names whose answers change from one look-up to the next; the last one stays."""

    def __init__(self, **answers: Sequence[str]) -> None:
        super().__init__(self._find)
        self.asked: list[str] = []
        self._answers: dict[str, Iterator[str]] = {
            name.replace("_", "."): chain(rows[:-1], repeat(rows[-1])) for name, rows in answers.items()
        }

    def _find(self, host: str, port: int, family: int) -> list[AddressInfo]:
        self.asked.append(host)
        found = next(self._answers[host])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found.split()]


def redirect(target: str) -> Say:
    return Say(ok(b"", f"Location: {target}", status="302 Found"))


async def fetched(fetcher: GovernedFetcher, url: str) -> bytes:
    recorder = Recorder()
    await fetcher.transfer(Location.parse(url), recorder)
    return bytes(recorder.data)


# --- redirects ------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{}/b/x", "http://localhost:{}/b/x", "http://intranet.example:{}/b/x"]
)
async def test_a_redirect_from_outside_does_not_lead_inside(
    target: str, archive: Callable[..., Archive], opened: Any, wire: bool
) -> None:
    server = archive({"b/x": b"secret"})
    names = Names(data_example=[PUBLIC], intranet_example=[INSIDE], localhost=[INSIDE])
    async with (
        scripted([redirect(target.format(server.port))], host=PUBLIC) as script,
        opened(resolver=names, judge=judge) as fetcher,
    ):
        for url in (script.url, script.url.replace(PUBLIC, "data.example")):
            with pytest.raises(RefusedError, match="private address"):
                await fetched(fetcher, url)
    assert server.requests == []


@both
@pytest.mark.parametrize("answers", [[PUBLIC, INSIDE], [PUBLIC, f"{PUBLIC} {INSIDE}"]], ids=["turns", "has both"])
async def test_a_name_that_turns_inside_between_check_and_connection_is_refused(
    answers: list[str], archive: Callable[..., Archive], opened: Any, wire: bool
) -> None:
    """DNS rebinding: the redirect is judged by the first answer, the connection would be made by the second."""
    server = archive({"b/x": b"secret"})
    names = Names(rebind_example=answers)
    async with (
        scripted([redirect(f"http://rebind.example:{server.port}/b/x")], host=PUBLIC) as script,
        opened(resolver=names, judge=judge) as fetcher,
    ):
        with pytest.raises(RefusedError, match=r"rebind\.example, a private address \(127\.0\.0\.1\)"):
            await fetched(fetcher, script.url)
    assert (server.requests, names.asked) == ([], ["rebind.example"] * 2)


@both
async def test_a_server_that_says_it_is_inside_by_now_is_known_by_where_it_was(
    archive: Callable[..., Archive], opened: Any, wire: bool
) -> None:
    """Only what is inside itself may send us inside: a name that has become one of ours after its answer is not."""
    server = archive({"b/x": b"secret"})
    names = Names(data_example=[PUBLIC, INSIDE])
    async with (
        scripted([redirect(f"http://127.0.0.1:{server.port}/b/x")], host=PUBLIC) as script,
        opened(resolver=names, judge=judge) as fetcher,
    ):
        with pytest.raises(RefusedError, match="private address"):
            await fetched(fetcher, script.url.replace(PUBLIC, "data.example"))
    assert server.requests == []


@both
async def test_out_and_in_again_is_refused_too(archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    server = archive({"b/x": b"secret"})
    async with (
        scripted([redirect(f"http://127.0.0.1:{server.port}/b/x")], host=PUBLIC) as outside,
        scripted([redirect(outside.url)]) as own,
        opened(judge=judge) as fetcher,
    ):
        with pytest.raises(RefusedError, match="private address"):
            await fetched(fetcher, own.url)
        assert len(outside.asked) == 1
    assert server.requests == []


@both
async def test_inside_redirects_inside_and_outside_as_it_likes(
    archive: Callable[..., Archive], opened: Any, wire: bool
) -> None:
    server = archive({"b/x": b"data"})
    async with (
        scripted([Say(ok(b"public"))], host=PUBLIC) as outside,
        scripted([redirect(f"http://localhost:{server.port}/b/x"), redirect(outside.url)]) as own,
        opened(resolver=Names(localhost=[INSIDE]), judge=judge) as fetcher,
    ):
        assert await fetched(fetcher, own.url) == b"data"
        assert await fetched(fetcher, own.url + "2") == b"public"


async def test_more_hosts_than_any_honest_run_meets_are_all_confined() -> None:
    around = Neighbourhood(Names(), Surroundings())
    around.admit("own.example", 80, [INSIDE])
    for number in range(MAX_REMEMBERED):
        around.admit(f"h{number}.example", 80, ["8.8.8.8"])
    with pytest.raises(RefusedError):
        around.admit("new.example", 80, ["10.0.0.1"])
    around.admit("new.example", 80, ["8.8.8.8"])


# --- what strangers wrote ---------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_a_stranger_names_no_address_of_this_machine(
    host: str, archive: Callable[..., Archive], opened: Any, wire: bool
) -> None:
    server = archive({"b/x": b"secret"})
    url = f"http://{host}:{server.port}/b/x"
    said = "--allow-private|cannot be asked for"  # aiohttp itself refuses numbers that are no address
    async with opened(STRANGER, resolver=DaemonResolver()) as fetcher:
        with pytest.raises(RefusedError, match=said):
            await fetched(fetcher, url)
        with pytest.raises(RefusedError, match=said):
            await fetcher.read(Location.parse(url))
        with pytest.raises(RefusedError, match=said):
            async for _ in fetcher.list(Location.parse(f"http://{host}:{server.port}/b/")):
                pass
    assert server.requests == []


@both
async def test_a_stranger_s_name_is_judged_at_each_connection(
    archive: Callable[..., Archive], opened: Any, wire: bool
) -> None:
    server = archive({"b/x": b"secret"})
    names = Names(data_example=[PUBLIC, INSIDE])
    answer = ok(b"public", "Connection: close")
    async with (
        scripted([Say(answer, "close")], host=PUBLIC) as script,
        opened(STRANGER, resolver=names, judge=judge) as fetcher,
    ):
        assert await fetched(fetcher, script.url.replace(PUBLIC, "data.example")) == b"public"
        with pytest.raises(RefusedError, match=r"data\.example \(127\.0\.0\.1\)"):
            await fetched(fetcher, f"http://data.example:{server.port}/b/x")
    assert server.requests == []


async def test_nor_a_path(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    place = Location("file", "", str(tmp_path / "secret"))
    async with opened(STRANGER) as fetcher:
        with pytest.raises(RefusedError, match="--allow-private"):
            await fetcher.read(place)
        with pytest.raises(RefusedError, match="--allow-private"):
            async for _ in fetcher.list(Location("file", "", str(tmp_path))):
                pass
    async with opened() as fetcher:
        assert (await fetcher.read(place)).data == b"secret"


async def test_mirrors_and_proxies_are_the_users_own_word(
    archive: Callable[..., Archive], opened: Any, tmp_path: Path
) -> None:
    server = archive({"b/x": b"data"})
    (tmp_path / "x").write_bytes(b"mirrored")
    mirrors = {"https://data.example": f"{server.url}/b", "s3://bucket": f"file://{tmp_path}"}
    async with opened(Settings(mirrors=mirrors, allow_private=False)) as fetcher:
        assert await fetched(fetcher, "https://data.example/x") == b"data"
        assert await fetched(fetcher, "s3://bucket/x") == b"mirrored"
    around = Surroundings(proxies={"http": server.url})
    async with opened(STRANGER, surroundings=around) as fetcher:
        await fetched(fetcher, "http://data.example/b/x")
        with pytest.raises(RefusedError, match="--allow-private"):
            await fetched(fetcher, "http://169.254.169.254/latest/meta-data/")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("text", "inside"),
    [("http://127.0.0.1:8000/x.zarr", True), ("http://localhost/x", True), ("http://[fd00::1]/x", True),
     ("file:///data/x", True), ("./x", True), ("/data", True), ("https://lab.example/x", False), ("s3://b/x", False),
     ("https://x.appspot.com/#!http://127.0.0.1/state.json", False), ("DANDI:000027", False),
     ("https://v.example/?source=http://127.0.0.1/x.zarr", False), ("javascript://127.0.0.1/", False)],
)  # fmt: skip
def test_only_the_pasted_text_itself_may_name_the_inside(text: str, inside: bool) -> None:
    assert names_inside(text) is inside


STATE = {"layers": [{"type": "image", "name": "em", "source": "zarr://{url}/b/v.zarr"}]}


def state(url: str) -> bytes:
    return orjson.dumps(STATE).replace(b"{url}", url.encode())


def links(server: Archive) -> dict[str, str]:
    viewer = "https://neuroglancer-demo.appspot.com/#!"
    return {
        "state in the link": viewer + state(server.url).decode(),
        "state elsewhere": viewer + f"{server.url}/b/state.json",
        "viewer of a URL": f"https://ome.github.io/ome-ngff-validator/?source={server.url}/b/v.zarr",
    }


@pytest.mark.parametrize("kind", ["state in the link", "state elsewhere", "viewer of a URL"])
def test_links_of_strangers_do_not_reach_inside_unless_allowed(
    kind: str, archive: Callable[..., Archive], tmp_path: Path
) -> None:
    server = archive({"b/v.zarr/.zgroup": b'{"zarr_format":2}', "b/v.zarr/.zattrs": b"{}"})
    server.store.put("b/state.json", state(server.url))  # type: ignore[attr-defined]  # a memory store
    link = links(server)[kind]
    for look in (
        lambda: [row.message for row in emasync.ls(link) if row.kind == "failed"],
        lambda: [
            failure.message for row in emasync.get(link, root=tmp_path / "no").datasets for failure in row.failures
        ],
    ):
        try:
            said = look()
        except EmasyncError as error:
            said = [error.message]
        assert said
        assert all("--allow-private" in str(message) for message in said), said
    assert server.requests == []
    allowed = emasync.RunOptions(allow_private=True)
    assert emasync.get(link, root=tmp_path / "yes", options=allowed).ok
    asked = len(server.requests)
    emasync.ls(link, options=allowed)
    assert len(server.requests) > asked


def test_the_manifest_of_a_link_keeps_its_bounds(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """What was recorded is run again, some day and elsewhere: by then names may lead elsewhere, too."""
    server = archive({"b/v.zarr/.zgroup": b'{"zarr_format":2}'})
    link = links(server)["state in the link"]
    text = emasync.init(link)
    path = tmp_path / "m.yaml"
    path.write_text(text)
    assert load_manifest(path, environ={}).settings.allow_private is False
    receipt = emasync.run(path, root=tmp_path / "root")
    (failure,) = receipt.datasets[0].failures
    assert (failure.kind, "--allow-private" in failure.message) == (ErrorKind.REFUSED, True)
    with emasync.plan(path, root=tmp_path / "root") as plan:
        assert "--allow-private" in plan.failures[0].message
    assert server.requests == []
    assert emasync.run(path, root=tmp_path / "root", options=emasync.RunOptions(allow_private=True)).ok


# --- addresses --------------------------------------------------------------------------------------------------------


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="169.254.0.0/16"))
def test_private_addresses_are_seen_through_their_spellings_in_ipv6(address: Any) -> None:
    number = int(address)
    for text in (
        f"::ffff:{address}",
        f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
    ):
        assert is_private(text) is True, text


@pytest.mark.parametrize("address", ["64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8", "2600::1"])
def test_public_ones_stay_public(address: str) -> None:
    assert is_private(address) is False
