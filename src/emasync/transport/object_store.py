"""S3 and Google buckets over plain HTTPS: URLs, regions, and whether requests are signed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from emasync.errors import InputError
from emasync.model.clock import Clock
from emasync.model.location import PATH_SAFE, Location
from emasync.model.redaction import is_presigned
from emasync.transport.answers import DENIED, error_code
from emasync.transport.auth import Credentials, Signer
from emasync.transport.interface import BucketAccess
from emasync.transport.surroundings import Surroundings

KEY_SAFE = "/-._~"
"""What stays unescaped in an object key, as Signature Version 4 wants it; S3 reads a bare plus sign as a space."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,254}")
_REGION = re.compile(r"[a-z0-9][a-z0-9\-]{1,31}")
_BODY_REGION = re.compile(rb"<Region>([a-z0-9\-]{1,32})</Region>")
_VIRTUAL = re.compile(r"[a-z0-9][a-z0-9\-]{1,61}[a-z0-9]")
_DEFAULT_REGION = "us-east-1"
_MAX_REGIONS = 3
"""Answers that name one region after another are not believed for ever."""

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the two stores are; other places are asked path-style (``<endpoint>/<bucket>/<key>``).

    Attributes
    ----------
    s3 : str or None
        None: Amazon's own hosts.
    gs : str
    """

    s3: str | None = None
    gs: str = "https://storage.googleapis.com"


@dataclass(slots=True)
class _Bucket:
    access: BucketAccess = field(default_factory=BucketAccess)
    region: str | None = None
    signing: bool = False
    regions: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, ready to send.

    Attributes
    ----------
    location : Location
        http(s).
    headers : mapping of str to str
        What the place adds: credentials, who pays.
    tried : str
        The credentials in words, for messages.
    """

    location: Location
    headers: Mapping[str, str]
    tried: str


class ObjectStores:
    """What is known of each bucket. Methods without ``await`` change it.

    Parameters
    ----------
    endpoints : Endpoints
    credentials : Credentials
    surroundings : Surroundings
        For netrc.
    clock : Clock
    """

    def __init__(
        self, endpoints: Endpoints, credentials: Credentials, surroundings: Surroundings, clock: Clock
    ) -> None:
        self._endpoints = endpoints
        self._credentials = credentials
        self._surroundings = surroundings
        self._clock = clock
        self._signer = Signer()
        self._buckets: dict[str, _Bucket] = {}
        self._with_token: set[str] = set()

    def __repr__(self) -> str:
        signing = sum(bucket.signing for bucket in self._buckets.values())
        return f"<ObjectStores {len(self._buckets)} buckets, {signing} signed>"

    def grant(self, origin: str, access: BucketAccess) -> None:
        """Say how a bucket is asked.

        Parameters
        ----------
        origin : str
            ``Location.origin`` of any object in it.
        access : BucketAccess
        """
        if access.region is not None and not _REGION.fullmatch(access.region):
            raise InputError(f"{origin}: {access.region!r} is no region name")
        self._buckets[origin] = _Bucket(access, access.region, access.requester_pays)

    def _state(self, origin: str) -> _Bucket:
        return self._buckets.setdefault(origin, _Bucket())

    # --- asking ------------------------------------------------------------------------------------------------

    async def prepare(self, place: Location, method: Literal["GET", "HEAD"] = "GET") -> Ask:
        """The request for `place`, signed at this moment where it has to be.

        Parameters
        ----------
        place : Location
            Any scheme but file. s3 and gs may carry a query (listings); http(s) URLs of buckets are asked as
            buckets, unless their query grants access by itself.
        method : {"GET", "HEAD"}
            It is signed too.

        Raises
        ------
        InputError
            No bucket name.
        AccessDeniedError, SourceError
            Credentials are wanted and cannot be had.
        """
        bucket = _bucket_of(place)
        if bucket is None:
            return self._plain(place)
        state = self._state(bucket.origin)
        if not state.signing:
            return Ask(self._url(bucket, state.region), {}, "without credentials")
        if bucket.scheme == "gs":
            token = await self._credentials.google()
            fields = {"Authorization": f"Bearer {token}"}
            return Ask(self._url(bucket, None), fields, "with Google application default credentials")
        return await self._signed(bucket, state, method)

    def _plain(self, place: Location) -> Ask:
        """A request to no bucket: with what netrc says, and with a token where one was asked for."""
        if is_presigned(place.query):
            return Ask(place, {}, "without credentials")
        if place.origin in self._with_token and (token := self._surroundings.token_for(place)):
            return Ask(place, {"Authorization": token}, "with the token of the environment")
        login = self._surroundings.login_for(place)
        return Ask(place, {"Authorization": login} if login else {}, "with netrc" if login else "without credentials")

    def open_place(self, base: Location) -> tuple[Location, str] | None:
        """URL that keys below `base` are appended to, and the characters of a key that stay as they are.

        Returns
        -------
        tuple of (Location, str) or None
            None where requests carry credentials, or may have to.
        """
        bucket = _bucket_of(base)
        if bucket is None:
            closed = base.query or self._surroundings.login_for(base) or base.origin in self._with_token
            return None if closed else (base, PATH_SAFE)
        state = self._state(bucket.origin)
        if state.signing or not state.access.anonymous or (base.scheme in ("http", "https") and not base.path):
            return None
        return self._url(bucket, state.region), KEY_SAFE

    async def _signed(self, bucket: Location, state: _Bucket, method: Literal["GET", "HEAD"]) -> Ask:
        profile = state.access.profile
        keys = await self._credentials.aws(profile)
        region = state.region or keys.region or _DEFAULT_REGION
        url = self._url(bucket, region)
        extra = {"x-amz-request-payer": "requester"} if state.access.requester_pays else {}
        if not url.query:  # an object: S3 tells the checksum that it keeps where it is asked to (GetObject)
            extra["x-amz-checksum-mode"] = "ENABLED"
        fields = self._signer.sign(url, keys, region, self._clock.time_s(), extra, method=method)
        return Ask(url, fields, f"with AWS credentials of {f'profile {profile!r}' if profile else 'the default chain'}")

    def _url(self, bucket: Location, region: str | None) -> Location:
        if not _BUCKET.fullmatch(bucket.authority):
            raise InputError(f"{bucket.authority!r} is no bucket name")
        key = quote(bucket.path, safe=KEY_SAFE)
        endpoint = self._endpoints.s3 if bucket.scheme == "s3" else self._endpoints.gs
        if endpoint is None:
            dot = f".{region}" if region else ""
            host = f"s3{dot}.amazonaws.com" + (".cn" if (region or "").startswith("cn-") else "")
            if _VIRTUAL.fullmatch(bucket.authority):
                return Location("https", f"{bucket.authority}.{host}", f"/{key}", bucket.query)
            endpoint = f"https://{host}"
        base = Location.parse(endpoint)
        path = f"{base.path.rstrip('/')}/{bucket.authority}" + (f"/{key}" if key else "")
        return Location(base.scheme, base.authority, path, bucket.query)

    # --- learning ----------------------------------------------------------------------------------------------

    def learn(
        self, place: Location, status: int, headers: Mapping[str, str], body: bytes, *, authorized: bool | None = None
    ) -> bool:
        """Take in what an answer says of its bucket; whether to ask once more, the other way.

        Parameters
        ----------
        place : Location
            What :meth:`prepare` was given.
        status : int
        headers : mapping
            Lower-case names.
        body : bytes
            Beginning of an error's body.
        authorized : bool, optional
            Whether the request had credentials: others may have gone without them at the same time, and each of
            those is to go again. By default, as a request would be sent now.
        """
        bucket = _bucket_of(place)
        if bucket is None:
            return self._learn_token(place, status, authorized=authorized)
        state = self._state(bucket.origin)
        if bucket.scheme == "s3" and self._learn_region(state, status, headers, body):
            return True
        if state.signing and error_code(body) in _EXPIRED:
            self._credentials.forget()
        if (
            status in DENIED
            and not state.access.anonymous
            and not (state.signing if authorized is None else authorized)
        ):
            state.signing = True
            return True
        return False

    def _learn_token(self, place: Location, status: int, *, authorized: bool | None) -> bool:
        """A host that denies gets its token from now on, if there is one: what is open needs none."""
        sent = place.origin in self._with_token if authorized is None else authorized
        if status not in DENIED or sent or is_presigned(place.query):
            return False
        if self._surroundings.token_for(place) is None:
            return False
        self._with_token.add(place.origin)
        return True

    @staticmethod
    def _learn_region(state: _Bucket, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        match = _BODY_REGION.search(body)
        told = headers.get("x-amz-bucket-region") or (match[1].decode("ascii") if match else "")
        if told == (state.region or "") or not _REGION.fullmatch(told) or state.regions >= _MAX_REGIONS:
            return False
        state.region = told
        state.regions += 1
        # an unsigned request was answered for good whatever its region was, a signature holds for one region
        return status in (301, 307, 400) or (status == 403 and state.signing)  # noqa: PLR2004 - S3 API, "Error responses"


def _bucket_of(place: Location) -> Location | None:
    """The bucket spelling of a place that is asked as a bucket; not of URLs whose query says how to ask."""
    if place.scheme in ("s3", "gs"):
        return place
    return None if place.query else place.as_bucket()
