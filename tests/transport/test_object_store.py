"""Buckets: URLs, regions, anonymous first, signatures, listings over real servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from blockbuster import BlockBuster

from emasync.errors import AccessDeniedError, ErrorKind, InputError, NotFoundError, RefusedError, SourceError
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing import Archive
from emasync.testing.clock import ManualClock
from emasync.testing.conformance import Recorder
from emasync.testing.content import BucketRules
from emasync.testing.peers import MotoS3
from emasync.testing.stores import MemoryStore
from emasync.transport.auth import AwsKeys, CredentialChain, Signer, aws_keys, google_token
from emasync.transport.governed import GovernedFetcher
from emasync.transport.interface import BucketAccess
from emasync.transport.object_store import Endpoints, ObjectStores
from emasync.transport.surroundings import Surroundings

KEYS = AwsKeys(key_id="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", region="eu-west-1")


both = pytest.mark.parametrize("wire", [True, False], ids=["wire", "aiohttp"])
"""For what is asked as data: over either transport."""


async def fetched(fetcher: GovernedFetcher, location: Location) -> bytes:
    """An object, asked for as data."""
    recorder = Recorder()
    await fetcher.transfer(location, recorder)
    return bytes(recorder.data)


class Given:
    """Credentials that count how often they are asked for."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.forgotten = 0

    async def aws(self, profile: str | None) -> AwsKeys:
        self.asked.append(profile)
        return KEYS

    async def google(self) -> str:
        self.asked.append("google")
        return "ya29.token"

    def forget(self) -> None:
        self.forgotten += 1


def stores(endpoints: Endpoints | None = None, logins: dict[str, str] | None = None) -> ObjectStores:
    return ObjectStores(endpoints or Endpoints(), Given(), Surroundings(logins=logins or {}), ManualClock())


@pytest.mark.parametrize(
    ("location", "region", "url"),
    [
        ("s3://bucket/a b/c+d%.n5", None, "https://bucket.s3.amazonaws.com/a%20b/c%2Bd%25.n5"),
        ("s3://bucket/é", "us-west-2", "https://bucket.s3.us-west-2.amazonaws.com/%C3%A9"),
        ("s3://dots.in.name/k", "us-west-2", "https://s3.us-west-2.amazonaws.com/dots.in.name/k"),
        ("s3://Upper_Case/k", None, "https://s3.amazonaws.com/Upper_Case/k"),
        ("s3://bucket/k", "cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn/k"),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a+b", None, "https://bucket.s3.amazonaws.com/a%2Bb"),
        ("gs://bucket/a b", None, "https://storage.googleapis.com/bucket/a%20b"),
        ("https://storage.googleapis.com/bucket/a%20b", None, "https://storage.googleapis.com/bucket/a%20b"),
        ("https://example.org/a+b", None, "https://example.org/a+b"),
    ],
)
async def test_urls_of_objects(location: str, region: str | None, url: str) -> None:
    known = stores()
    place = Location.parse(location)
    known.grant(place.origin, BucketAccess(region=region))
    ask = await known.prepare(place)
    assert (str(ask.location), ask.headers, ask.tried) == (url, {}, "without credentials")


@pytest.mark.parametrize("bucket", ["evil.example#", "a/../b", "-x", "a@b", ""])
async def test_no_bucket_name_becomes_a_host(bucket: str) -> None:
    with pytest.raises(InputError, match="no bucket name"):
        await stores().prepare(Location("s3", bucket, "k"))


def test_no_region_becomes_a_host() -> None:
    with pytest.raises(InputError, match="no region name"):
        stores().grant("s3://bucket", BucketAccess(region="evil.example/"))
    known = stores()
    assert not known.learn(Location("s3", "bucket", "k"), 301, {"x-amz-bucket-region": "evil.example/"}, b"")


async def test_regions_are_learned_and_not_believed_for_ever() -> None:
    known = stores()
    place = Location("s3", "bucket", "k")
    assert known.learn(place, 301, {"x-amz-bucket-region": "us-west-2"}, b"")
    assert "us-west-2" in str((await known.prepare(place)).location)
    assert not known.learn(place, 301, {"x-amz-bucket-region": "us-west-2"}, b"")
    assert known.learn(
        place, 400, {}, b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
    )
    assert known.learn(place, 301, {"x-amz-bucket-region": "us-west-2"}, b"")
    assert not known.learn(place, 301, {"x-amz-bucket-region": "eu-west-1"}, b"")
    assert not known.learn(Location.parse("https://example.org/"), 301, {"x-amz-bucket-region": "eu-west-1"}, b"")


async def test_anonymous_first_then_signed() -> None:
    known = stores()
    place = Location("s3", "bucket", "k")
    assert not known.learn(place, 403, {}, b"")
    known.grant("s3://bucket", BucketAccess(anonymous=False, profile="lab"))
    assert (await known.prepare(place)).headers == {}
    assert known.learn(place, 403, {}, b"")
    ask = await known.prepare(place)
    assert ask.location.authority == "bucket.s3.eu-west-1.amazonaws.com"
    assert ask.tried == "with AWS credentials of profile 'lab'"
    assert "/20250615/eu-west-1/s3/aws4_request" in ask.headers["Authorization"]
    assert ask.headers["x-amz-checksum-mode"] == "ENABLED"
    assert "x-amz-checksum-mode" in ask.headers["Authorization"]
    assert "x-amz-checksum-mode" not in (await known.prepare(replace(place, path="", query="list-type=2"))).headers
    assert not known.learn(place, 403, {}, b"")
    assert repr(known) == "<ObjectStores 1 buckets, 1 signed>"


async def test_presigned_urls_get_no_credentials() -> None:
    known = stores(logins={"bucket.s3.amazonaws.com": "Basic x", "h.example": "Basic y"})
    known.grant("s3://bucket", BucketAccess(anonymous=False, requester_pays=True))
    for url in ("https://bucket.s3.amazonaws.com/k?X-Amz-Signature=1", "https://h.example/k?token=1"):
        ask = await known.prepare(Location.parse(url))
        assert (str(ask.location), ask.headers) == (url, {})
    assert (await known.prepare(Location.parse("https://h.example/k"))).headers == {"Authorization": "Basic y"}


@pytest.mark.parametrize("query", ["", "list-type=2&prefix=a%20b%2F&start-after=%C3%A9"])
@pytest.mark.parametrize("token", [None, "session"])
async def test_signatures_are_botocores(query: str, token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The independent implementation gives the same Authorization."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    clock = ManualClock()
    location = Location.parse(
        "https://bucket.s3.us-west-2.amazonaws.com/a%20b/%C3%A9%2B=1" + (f"?{query}" if query else "")
    )
    keys = AwsKeys(key_id=KEYS.key_id, secret=KEYS.secret, token=token)
    ours = Signer().sign(location, keys, "us-west-2", clock.time_s(), {"x-amz-request-payer": "requester"})
    request = AWSRequest("GET", str(location), headers={"x-amz-request-payer": "requester"})
    theirs = S3SigV4Auth(Credentials(KEYS.key_id, KEYS.secret, token), "s3", "us-west-2")
    moment = ours["x-amz-date"]

    class Frozen:
        @staticmethod
        def strftime(_format: str) -> str:
            return moment

    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: Frozen)
    theirs.add_auth(request)
    assert ours["Authorization"] == request.headers["Authorization"]
    assert "wJal" not in repr(keys)


def answering(server: str) -> Endpoints:
    return Endpoints(s3=server, gs=server)


@both
async def test_region_of_a_bucket_is_found_out_once(archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    server = archive({"far/x": b"1"}, buckets={"far": BucketRules(elsewhere=True, region="ap-south-1")})
    async with opened(endpoints=answering(server.url)) as fetcher:
        with pytest.raises(RefusedError, match="redirect without a target"):  # it says so again
            await fetched(fetcher, Location.parse("s3://far/x"))
    assert len(server.requests) == 2


@both
async def test_private_bucket(archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    store = {"lab/x": b"1", "lab/y": b"2"}
    server = archive(store, buckets={"lab": BucketRules(private=True)})
    credentials = Given()
    async with opened(endpoints=answering(server.url), credentials=credentials) as fetcher:
        with pytest.raises(AccessDeniedError, match="asked without credentials"):
            await fetched(fetcher, Location.parse("s3://lab/x"))
        fetcher.grant("s3://lab", BucketAccess(anonymous=False))
        server.reset()
        assert await fetched(fetcher, Location.parse("s3://lab/x")) == b"1"
        assert [page.objects[0].key async for page in fetcher.list(Location.parse("s3://lab/"))] == ["x"]
    assert [seen.status for seen in server.requests] == [403, 200, 200]
    assert all(seen.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256") for seen in server.requests[1:])


@both
async def test_private_google_bucket(archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    server = archive({"lab/x": b"1"}, buckets={"lab": BucketRules(kind="google", private=True)})
    fetcher = opened(endpoints=answering(server.url), credentials=Given())
    fetcher.grant("gs://lab", BucketAccess(anonymous=False))
    async with fetcher:
        head = await fetcher.transfer(Location.parse("gs://lab/x"), Recorder())
    assert server.requests[-1].headers["authorization"] == "Bearer ya29.token"
    assert head.validator.generation
    assert "crc32c=" in head.headers["x-goog-hash"]


@both
async def test_credentials_stay_with_their_bucket(archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    other = archive({"pub/x": b"1"})
    server = archive({"lab/x": b""}, faults={"lab/x": [{"redirect": f"{other.url}/pub/x"}]})
    async with opened(endpoints=answering(server.url), credentials=Given()) as fetcher:
        fetcher.grant("s3://lab", BucketAccess(anonymous=False, requester_pays=True))
        assert await fetched(fetcher, Location.parse("s3://lab/x")) == b"1"
        assert sorted(fetcher.statistics()) == sorted(["s3://lab", other.url])
    assert "authorization" in server.requests[0].headers
    assert "authorization" not in other.requests[0].headers


@both
async def test_expired_credentials_are_asked_for_again(
    archive: Callable[..., Archive], opened: Any, wire: bool
) -> None:
    faults = {"lab/x": [{"status": 403, "code": "ExpiredToken", "times": 1}]}
    server = archive({"lab/x": b"1"}, faults=faults)
    credentials = Given()
    async with opened(endpoints=answering(server.url), credentials=credentials) as fetcher:
        fetcher.grant("s3://lab", BucketAccess(requester_pays=True))
        assert await fetched(fetcher, Location.parse("s3://lab/x")) == b"1"
    assert credentials.forgotten == 1


@pytest.mark.moto
@both
async def test_signed_requests_against_moto(
    moto_s3: MotoS3, opened: Any, monkeypatch: pytest.MonkeyPatch, blockbuster: BlockBuster, wire: bool
) -> None:
    """Real chain (environment), real server: object and listing of a bucket that is not public."""
    blockbuster.deactivate()  # aiobotocore reads its files on a loop of its own, in a thread of its own
    moto_s3.put("transport-private", "a b/é+1", b"secret", public=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    async with opened(endpoints=Endpoints(s3=moto_s3.url)) as fetcher:
        with pytest.raises(AccessDeniedError):
            await fetched(fetcher, Location.parse("s3://transport-private/a b/é+1"))
        fetcher.grant("s3://transport-private", BucketAccess(anonymous=False))
        assert await fetched(fetcher, Location.parse("s3://transport-private/a b/é+1")) == b"secret"
        pages = [page async for page in fetcher.list(Location.parse("s3://transport-private/a"))]
    assert [item.key for page in pages for item in page.objects] == ["a b/é+1"]


@pytest.mark.moto
async def test_listing_pages_of_moto(moto_s3: MotoS3, opened: Any) -> None:
    for number in range(12):
        moto_s3.put("transport-public", f"d{number % 3}/{number:02d} +%&", b"x" * number)
    async with opened(endpoints=Endpoints(s3=moto_s3.url)) as fetcher:
        prefix = Location.parse("s3://transport-public/")
        pages = [page async for page in fetcher.list(prefix, delimiter="/")]
        assert [name for page in pages for name in page.folders] == ["d0/", "d1/", "d2/"]
        found = [page async for page in fetcher.list(prefix, start_after="d1/04 +%&")]
    rows = [(item.key, item.size_bytes) for page in found for item in page.objects]
    assert rows == [(f"d{n % 3}/{n:02d} +%&", n) for n in (7, 10, 2, 5, 8, 11)]


def test_no_credentials_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, blockbuster: BlockBuster) -> None:
    blockbuster.deactivate()  # as above
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AccessDeniedError, match="anonymous: true"):
        aws_keys(None)
    with pytest.raises(AccessDeniedError, match="profile 'nobody'"):
        aws_keys("nobody")


def test_keys_of_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, blockbuster: BlockBuster) -> None:
    blockbuster.deactivate()  # as above
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text("[profile lab]\nregion = eu-central-1\n")
    (tmp_path / "keys").write_text("[lab]\naws_access_key_id = A\naws_secret_access_key = S\naws_session_token = T\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    assert aws_keys("lab") == AwsKeys(key_id="A", secret="S", token="T", region="eu-central-1")


def test_google_is_said_to_need_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "google.auth", None)
    with pytest.raises(SourceError, match="google-auth") as caught:
        google_token()
    assert caught.value.kind == ErrorKind.NOT_BUILT


async def test_credentials_are_kept_for_a_while() -> None:
    clock = ManualClock()
    asked: list[str | None] = []

    def find(profile: str | None) -> AwsKeys:
        asked.append(profile)
        return KEYS

    chain = CredentialChain(clock, find_aws=find, find_google=lambda: "token")
    await chain.aws(None)
    await chain.aws(None)
    await chain.aws("lab")
    assert asked == [None, "lab"]
    clock.advance(301)
    await chain.aws(None)
    chain.forget()
    await chain.aws(None)
    assert asked == [None, "lab", None, None]
    assert await chain.google() == "token"
    assert repr(chain) == "<CredentialChain, 2 kept>"


# --- listings of S3-style servers ----------------------------------------------------------------------------------


async def test_endpoint_of_a_server_is_found_out_once(archive: Callable[..., Archive], opened: Any) -> None:
    server = archive({"bucket/d/x": b"1"})
    async with opened() as fetcher:
        prefix = Location.parse(f"{server.url}/bucket/d/")
        assert await fetcher.bucket_of(prefix) == Location.parse(f"{server.url}/bucket")
        assert [item.key async for page in fetcher.list(prefix) for item in page.objects] == ["d/x"]
        assert await fetcher.bucket_of(prefix) == Location.parse(f"{server.url}/bucket")
    assert len(server.requests) == 2


async def test_the_host_itself_may_be_the_bucket(archive: Callable[..., Archive], opened: Any) -> None:
    """Virtual-host style: the path style answers no listing, the root does."""
    listing = (
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>d/x</Key><LastModified>2024</LastModified>"
        "<ETag>&quot;e&quot;</ETag><Size>1</Size></Contents></ListBucketResult>"
    )
    faults = {"*": [{"body": listing, "headers": {"Content-Type": "application/xml"}}]}
    server = archive({"bucket/d/x": b"1"}, faults={})
    async with opened() as fetcher:
        with pytest.raises(RefusedError, match="no S3-style listing"):
            await fetcher.bucket_of(Location.parse(f"{server.url}/d/"))
        server.set_faults({"": faults["*"], "/": faults["*"], "list:": faults["*"]})
        prefix = Location.parse(f"{server.url}/d/")
        keys = [item.key async for page in fetcher.list(prefix) for item in page.objects]
        assert keys == ["d/x"]
        assert await fetcher.bucket_of(prefix) == Location.parse(f"{server.url}/")


async def test_denied_listing_says_so(archive: Callable[..., Archive], opened: Any) -> None:
    server = archive({"bucket/x": b"1"}, buckets={"bucket": BucketRules(list_denied=True)})
    async with opened() as fetcher:
        with pytest.raises(AccessDeniedError, match="listing of"):
            await fetcher.bucket_of(Location.parse(f"{server.url}/bucket/"))
        with pytest.raises(RefusedError, match="with a query"):
            await fetcher.bucket_of(Location.parse(f"{server.url}/bucket/?a=1"))


async def test_missing_bucket(archive: Callable[..., Archive], opened: Any) -> None:
    server = archive(MemoryStore())
    async with opened(endpoints=answering(server.url)) as fetcher:
        with pytest.raises(NotFoundError, match="NoSuchBucket"):
            await anext(fetcher.list(Location.parse("s3://none/")))


async def test_lists_do_not_hide_what_broke(archive: Callable[..., Archive], opened: Any) -> None:
    """A page that breaks off is asked for again; pages add up."""
    store = {f"b/{number:04d}": b"" for number in range(2500)}
    faults = {"list:b": [{"close_after": 5000, "times": 1}, {"status": 503, "times": 1}]}
    server = archive(store, faults=faults)
    async with opened(endpoints=answering(server.url)) as fetcher:
        keys = [item.key async for page in fetcher.list(Location.parse("s3://b/")) for item in page.objects]
    assert keys == [f"{number:04d}" for number in range(2500)]
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    ("prefix", "root"),
    [
        ("s3://b/p/", "s3://b/"),
        ("gs://b/p/", "gs://b/"),
        ("https://bb.s3.us-west-2.amazonaws.com/p/", "https://bb.s3.us-west-2.amazonaws.com/"),
        ("https://s3.amazonaws.com/bb/p/", "https://s3.amazonaws.com/bb"),
        ("https://storage.googleapis.com/bb/p/", "https://storage.googleapis.com/bb"),
        ("file:///data/p/", "file:///data/p/"),
        ("s3://mirrored/p/", "s3://mirrored"),
        ("https://m.example/pub/p/", "https://m.example/pub"),
    ],
)
async def test_what_keys_are_appended_to(prefix: str, root: str, opened: Any) -> None:
    """In the caller's own spelling, without a request."""
    settings = Settings(mirrors={"s3://mirrored": "s3://copy/of/it", "https://m.example/pub": "file:///mnt"})
    async with opened(settings) as fetcher:
        assert await fetcher.bucket_of(Location.parse(prefix)) == Location.parse(root)


async def test_mirror_inside_of_a_bucket(archive: Callable[..., Archive], opened: Any) -> None:
    server = archive({"copy/of/it/d/x": b"1", "copy/of/it/d/e/y": b"2", "copy/z": b"3"})
    settings = Settings(mirrors={"s3://mirrored": "s3://copy/of/it"})
    async with opened(settings, endpoints=answering(server.url)) as fetcher:
        prefix = Location.parse("s3://mirrored/d/")
        (page,) = [page async for page in fetcher.list(prefix, delimiter="/", start_after="d/a")]
        assert ([item.key for item in page.objects], page.folders) == (["d/x"], ("d/e/",))
        with pytest.raises(NotFoundError, match=r"s3://mirrored/none \(mirror s3://copy/of/it/none\)") as caught:
            await fetcher.read(Location.parse("s3://mirrored/none"))
        assert caught.value.location == "s3://mirrored/none"
        assert list(fetcher.statistics()) == ["s3://copy"]
    assert urlsplit(server.url).port
