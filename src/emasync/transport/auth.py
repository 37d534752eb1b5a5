"""Signed requests: credentials from the usual chains, signatures of our own (AWS Signature Version 4)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Literal, Protocol
from urllib.parse import parse_qsl, quote

import anyio.to_thread

from emasync.errors import AccessDeniedError, ErrorKind, SourceError
from emasync.model.clock import Clock
from emasync.model.location import Location

FRESH_S = 300.0
"""Credentials are asked for again this often; the chain itself caches and refreshes what expires."""

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKeys:
    """Credentials of one moment. Never logged: ``repr`` names the key id only.

    Attributes
    ----------
    key_id, secret : str
    token : str or None
        Session token of temporary credentials.
    region : str or None
        Region of the profile or environment, a first guess for buckets whose own is unknown.
    """

    key_id: str
    secret: str
    token: str | None = None
    region: str | None = None

    def __repr__(self) -> str:
        return f"AwsKeys({self.key_id!r})"


class Credentials(Protocol):
    """Where credentials come from."""

    async def aws(self, profile: str | None) -> AwsKeys:
        """Credentials of a profile or of the default chain.

        Raises
        ------
        AccessDeniedError
            There are none.
        """
        ...

    async def google(self) -> str:
        """Bearer token of the application default credentials.

        Raises
        ------
        SourceError
            ``not_built``: google-auth is not installed.
        AccessDeniedError
            There are none.
        """
        ...

    def forget(self) -> None:
        """What was handed out has expired: ask again next time."""
        ...


class CredentialChain:
    """The chains of this machine: aiobotocore's for AWS, google-auth's for Google. Looked up in threads.

    Parameters
    ----------
    clock : Clock
    find_aws : callable
        Profile to keys, blocking.
    find_google : callable
        To a token, blocking.
    """

    def __init__(
        self,
        clock: Clock,
        find_aws: Callable[[str | None], AwsKeys] | None = None,
        find_google: Callable[[], str] | None = None,
    ) -> None:
        self._clock = clock
        self._find_aws = find_aws or aws_keys
        self._find_google = find_google or google_token
        self._kept: dict[str, tuple[float, AwsKeys | str]] = {}
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<CredentialChain, {len(self._kept)} kept>"

    async def aws(self, profile: str | None) -> AwsKeys:
        """See :class:`Credentials`."""
        keys = await self._fresh(f"aws {profile}", lambda: self._find_aws(profile))
        assert isinstance(keys, AwsKeys)  # noqa: S101 - the name says which of the two was kept
        return keys

    async def google(self) -> str:
        """See :class:`Credentials`."""
        return str(await self._fresh("google", self._find_google))

    def forget(self) -> None:
        """See :class:`Credentials`."""
        self._kept.clear()

    async def _fresh(self, name: str, find: Callable[[], AwsKeys | str]) -> AwsKeys | str:
        """One look-up at a time; what it finds serves everybody for :data:`FRESH_S`."""
        async with self._lock:
            found_s, value = self._kept.get(name, (None, ""))
            now_s = self._clock.monotonic_s()
            if found_s is None or now_s - found_s > FRESH_S:
                value = await anyio.to_thread.run_sync(find)
                self._kept[name] = (now_s, value)
            return value


def aws_keys(profile: str | None) -> AwsKeys:
    """Ask aiobotocore's chain: environment, profile, role, container, IMDS (blocking, on a loop of its own).

    Raises
    ------
    AccessDeniedError
        No credentials, or the chain failed.
    """
    from aiobotocore.session import AioSession  # noqa: PLC0415 - imported only where requests are signed
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - as above

    async def ask() -> AwsKeys | None:
        session = AioSession(profile=profile)
        chain = await session.get_credentials()
        if chain is None:
            return None
        frozen = await chain.get_frozen_credentials()
        region = session.get_config_variable("region")
        return AwsKeys(key_id=frozen.access_key, secret=frozen.secret_key, token=frozen.token, region=region)

    whose = f"profile {profile!r}" if profile else "the default chain (environment, ~/.aws, role, instance)"
    try:
        keys = asyncio.run(ask())
    except BotoCoreError as error:
        raise AccessDeniedError(f"AWS credentials of {whose} cannot be had: {error}") from error
    if keys is None:
        raise AccessDeniedError(f"no AWS credentials in {whose}; configure them, or set anonymous: true")
    return keys


def google_token() -> str:
    """Ask google-auth for the application default credentials (blocking).

    Raises
    ------
    SourceError
        ``not_built``: google-auth is not installed.
    AccessDeniedError
        No credentials.
    """
    try:
        auth = import_module("google.auth")
        errors = import_module("google.auth.exceptions")
        requests = import_module("google.auth.transport.requests")
    except ImportError as error:
        raise SourceError(
            "signed requests to gs:// need the google-auth package, which is not installed; install google-auth and "
            "requests, or set anonymous: true",
            kind=ErrorKind.NOT_BUILT,
        ) from error
    try:
        found, _ = auth.default(scopes=[_GOOGLE_SCOPE])
        found.refresh(requests.Request())
    except errors.GoogleAuthError as error:
        raise AccessDeniedError(f"Google application default credentials cannot be had: {error}") from error
    return str(found.token)


class Signer:
    """AWS Signature Version 4 for GET requests to S3; keys are derived once a day and region.

    References
    ----------
    Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
    """

    def __init__(self) -> None:
        self._derived: dict[tuple[str, str, str], bytes] = {}

    def sign(
        self,
        location: Location,
        keys: AwsKeys,
        region: str,
        time_s: float,
        extra: Mapping[str, str] | None = None,
        *,
        method: Literal["GET", "HEAD"] = "GET",
    ) -> dict[str, str]:
        """Header fields that sign a request for `location` at `time_s`.

        Parameters
        ----------
        location : Location
            http(s), as it will be sent.
        keys : AwsKeys
        region : str
        time_s : float
            Seconds since 1970-01-01 UTC; S3 accepts 15 minutes around its own.
        extra : mapping, optional
            More ``x-amz-*`` fields to sign and send, lower-case names.
        method : {"GET", "HEAD"}
        """
        moment = datetime.fromtimestamp(time_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        fields = {"x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": moment, **(extra or {})}
        if keys.token:
            fields["x-amz-security-token"] = keys.token
        signed = dict(sorted({"host": location.authority, **fields}.items()))
        names = ";".join(signed)
        canonical = "\n".join(
            (
                method,
                location.path,
                canonical_query(location.query),
                *(f"{name}:{value.strip()}" for name, value in signed.items()),
                "",
                names,
                EMPTY_SHA256,
            )
        )
        scope = f"{moment[:8]}/{region}/s3/aws4_request"
        text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        signature = hmac.new(self._key(keys, moment[:8], region), text.encode(), hashlib.sha256).hexdigest()
        fields["Authorization"] = (
            f"{_ALGORITHM} Credential={keys.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return fields

    def _key(self, keys: AwsKeys, day: str, region: str) -> bytes:
        name = (keys.secret, day, region)
        if name not in self._derived:
            self._derived.clear() if len(self._derived) > 64 else None  # noqa: PLR2004 - days go by, secrets rotate
            key = ("AWS4" + keys.secret).encode()
            for part in (day, region, "s3", "aws4_request"):
                key = hmac.new(key, part.encode(), hashlib.sha256).digest()
            self._derived[name] = key
        return self._derived[name]


def canonical_query(query: str) -> str:
    """Query with names and values escaped the strict way, sorted."""
    pairs = sorted((quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in parse_qsl(query, True))
    return "&".join(f"{name}={value}" for name, value in pairs)
