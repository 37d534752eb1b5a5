"""A twin of a DANDI archive for the loopback archive: its API with its oddities, manifests and bytes in its bucket.

The quirks are those of ``dandiapi``: ``count`` on the first page of assets only, ``path`` as a prefix that ignores
case, rows in order of creation unless asked otherwise, presigned redirects that expire, ``/files/`` whose prefix loses
its slash, ``400`` for a Zarr's download.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from emasync.testing.dandi_records import Record, TwinAsset, blob_key, dandi_etag, made_id, zarr_checksum
from emasync.testing.memory import MemoryStore
from emasync.testing.messages import Answer, Asked, of_bytes

JSON = (("Content-Type", "application/json"),)
MAX_PAGE = 1_000
DEFAULT_PAGE = 100

_VERSIONS = re.compile(r"dandisets/(?P<dandiset>\d{6})(?:/versions/(?P<version>[^/]+)(?P<assets>/assets)?)?/")
_ASSET = re.compile(r"assets/(?P<asset>[0-9a-f-]{36})(?P<download>/download)?/")
_ZARR = re.compile(r"zarr/(?P<zarr>[0-9a-f-]{36})(?P<files>/files)?/")


def answer_json(value: object, status: int = 200, *, bodiless: bool = False) -> Answer:
    """An answer of the API."""
    return of_bytes(status, JSON, orjson.dumps(value), bodiless=bodiless)


@dataclass(slots=True)
class TwinVersion:
    """Assets of one version, and what the archive says of it (mutable: tests bend it)."""

    assets: list[TwinAsset] = field(default_factory=list)
    metadata: Record = field(default_factory=dict)


class DandiTwin:
    """The twin: an :class:`~emasync.testing.site.App` over the store that holds its bucket.

    Parameters
    ----------
    store : MemoryStore
        Gets the bytes, below ``<bucket>/``.
    url : str
        Of the archive itself, as its records name it; the canonical one where a mirror stands in.
    bucket : str
    bucket_url : str, optional
        As records name the bucket.
    token : str or None
        What embargoed dandisets ask for.
    presigned_uses : int or None
        Requests that a presigned URL is good for; None for any number.

    Attributes
    ----------
    versions : dict
        By dandiset and version.
    before_page : callable or None
        Called with the twin before each page of assets: a draft that changes meanwhile.
    next_host : str or None
        Host that ``next`` names, in place of the archive's own.
    """

    def __init__(
        self,
        store: MemoryStore,
        *,
        url: str = "https://api.dandiarchive.org",
        bucket: str = "dandiarchive",
        bucket_url: str | None = None,
        token: str | None = None,
        presigned_uses: int | None = None,
    ) -> None:
        self.store = store
        self.bucket = bucket
        self.bucket_url = bucket_url or f"https://{bucket}.s3.amazonaws.com"
        self.api = f"{url}/api"
        self.token = token
        self.presigned_uses = presigned_uses
        self.versions: dict[tuple[str, str], TwinVersion] = {}
        self.before_page: Callable[[DandiTwin], None] | None = None
        self.next_host: str | None = None
        self.zarr_files: dict[str, dict[str, int]] = {}
        self._signed: dict[str, int] = {}
        self._private: set[str] = set()

    # --- content -----------------------------------------------------------------------------------------------

    def version(self, dandiset: str, name: str = "draft") -> TwinVersion:
        """A version; made when it is missing."""
        found = self.versions.setdefault((dandiset, name), TwinVersion())
        found.metadata = found.metadata or {
            "schemaKey": "Dandiset",
            "schemaVersion": "0.6.3",
            "identifier": f"DANDI:{dandiset}",
            "name": f"Synthetic dandiset {dandiset}",
            "version": name,
            "license": ["spdx:CC-BY-4.0"],
            "manifestLocation": [self._manifest_location(dandiset, name)],
        }
        return found

    def _manifest_location(self, dandiset: str, name: str) -> str:
        if name == "draft":
            return f"{self.api}/dandisets/{dandiset}/versions/draft/assets/"
        return f"{self.bucket_url}/dandisets/{dandiset}/{name}/assets.yaml"

    def add_blob(
        self, dandiset: str, path: str, data: bytes, *, embargoed: bool = False, sha256: bool = True
    ) -> TwinAsset:
        """Add a file to the draft; equal bytes are one blob, as in the archive."""
        blob = made_id("blob", hashlib.sha256(data).hexdigest())
        self.store.put(f"{self.bucket}/{blob_key(blob)}", data)
        digest: dict[str, str | None] = {"dandi:dandi-etag": dandi_etag(data)}
        if sha256:
            digest["dandi:sha2-256"] = hashlib.sha256(data).hexdigest()
        if embargoed:
            self._private.add(f"{self.bucket}/{blob_key(blob)}")
        return self._add(dandiset, path, len(data), blob=blob, digest=digest, embargoed=embargoed)

    def add_zarr(
        self, dandiset: str, path: str, files: Mapping[str, bytes], *, embargoed: bool = False, checksum: bool = True
    ) -> TwinAsset:
        """Add a Zarr to the draft."""
        zarr, rows = made_id("zarr", dandiset, path), {}
        for key, data in files.items():
            self.store.put(f"{self.bucket}/zarr/{zarr}/{key}", data)
            rows[key] = (hashlib.md5(data, usedforsecurity=False).hexdigest(), len(data))
            if embargoed:
                self._private.add(f"{self.bucket}/zarr/{zarr}/{key}")
        self.zarr_files[zarr] = {key: len(data) for key, data in files.items()}
        digest: dict[str, str | None] = {"dandi:dandi-zarr-checksum": zarr_checksum(rows) if checksum else None}
        size_bytes = sum(map(len, files.values()))
        return self._add(dandiset, path, size_bytes, zarr=zarr, digest=digest, embargoed=embargoed)

    def _add(self, dandiset: str, path: str, size_bytes: int, **fields: Any) -> TwinAsset:
        """Any: fields of :class:`TwinAsset`."""
        assets = self.version(dandiset).assets
        made = TwinAsset(path, made_id(dandiset, path, str(len(assets))), size_bytes, len(assets), **fields)
        assets.append(made)
        return made

    def publish(self, dandiset: str, name: str) -> None:
        """Make the draft a version, with its manifests in the bucket (``dandiapi/api/manifests.py``)."""
        version = self.version(dandiset, name)
        version.assets = list(self.version(dandiset).assets)
        records = [asset.metadata(self.api, self.bucket_url) for asset in version.assets]
        folder = f"{self.bucket}/dandisets/{dandiset}/{name}"
        self.store.put(f"{folder}/dandiset.jsonld", orjson.dumps(version.metadata))
        self.store.put(f"{folder}/assets.jsonld", b"[" + b",".join(orjson.dumps(record) for record in records) + b"]")

    # --- answers -----------------------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Answer | None:
        """Answer a call of the API, and guard what is private in the bucket."""
        if asked.key.startswith("api/"):
            return self._call(asked, asked.key.removeprefix("api/"), dict(parse_qsl(asked.query)))
        if asked.key in self._private:
            return self._guarded(asked)
        return None

    def _call(self, asked: Asked, path: str, query: Mapping[str, str]) -> Answer:
        if match := _VERSIONS.fullmatch(path):
            return self._dandiset(asked, match, query)
        if match := _ASSET.fullmatch(path):
            return self._asset(asked, match, query)
        if match := _ZARR.fullmatch(path):
            return self._zarr(asked, match, query)
        return answer_json({"detail": "Not found."}, 404)

    def _allowed(self, asked: Asked, assets: Sequence[TwinAsset]) -> bool:
        return asked.headers.get("authorization") == f"token {self.token}" or not any(a.embargoed for a in assets)

    def _denied(self, asked: Asked) -> Answer:
        known = "authorization" in asked.headers
        text = "Invalid token." if known else "Authentication credentials were not provided."
        return of_bytes(401, (*JSON, ("WWW-Authenticate", "Token")), orjson.dumps({"detail": text}))

    def _dandiset(self, asked: Asked, match: re.Match[str], query: Mapping[str, str]) -> Answer:
        names = [name for dandiset, name in self.versions if dandiset == match["dandiset"]]
        if not names or (match["version"] or names[0]) not in names:
            return answer_json({"detail": "Not found."}, 404)
        if not self._allowed(asked, self.version(match["dandiset"], match["version"] or names[0]).assets):
            return self._denied(asked)
        if match["version"] is None:
            return answer_json(self._overview(match["dandiset"], names))
        if match["assets"] is None:
            return answer_json(self.version(match["dandiset"], match["version"]).metadata)
        if self.before_page is not None:
            self.before_page(self)
        return self._assets(asked, self.version(match["dandiset"], match["version"]).assets, query)

    def _overview(self, dandiset: str, names: Sequence[str]) -> Record:
        published = max((name for name in names if name != "draft"), default=None)
        newest = None
        if published is not None:
            assets = self.version(dandiset, published).assets
            newest = {"version": published, "asset_count": len(assets), "size": sum(a.size_bytes for a in assets)}
        return {
            "identifier": dandiset,
            "embargo_status": "OPEN",
            "most_recent_published_version": newest,
            "draft_version": {"version": "draft"},
        }

    def _assets(self, asked: Asked, assets: Sequence[TwinAsset], query: Mapping[str, str]) -> Answer:
        found = [asset for asset in assets if _glob(query.get("glob", "*")).fullmatch(asset.path)]
        if wanted := query.get("path", "").lower():
            exact = [asset for asset in found if asset.path.lower() == wanted]
            found = exact or [asset for asset in found if asset.path.lower().startswith(wanted)]
        order = query.get("order", "created")
        found.sort(key=lambda asset: getattr(asset, order.removeprefix("-")), reverse=order.startswith("-"))
        size, page = min(int(query.get("page_size", DEFAULT_PAGE)), MAX_PAGE), int(query.get("page", 1))
        rows = found[(page - 1) * size : page * size]
        more = page * size < len(found)
        metadata = query.get("metadata") == "true"
        answer = {
            "count": len(found) if page == 1 else None,
            "next": self._page_url(asked, {**query, "page": str(page + 1)}) if more else None,
            "previous": self._page_url(asked, {**query, "page": str(page - 1)}) if page > 1 else None,
            "results": [asset.row(self.api, self.bucket_url, metadata=metadata) for asset in rows],
        }
        return answer_json(answer)

    def _page_url(self, asked: Asked, query: Mapping[str, str]) -> str:
        host = self.next_host or f"http://{asked.headers.get('host', '')}"
        return f"{host}{asked.path}?{urlencode(query)}"

    def _asset(self, asked: Asked, match: re.Match[str], query: Mapping[str, str]) -> Answer:
        everything = (asset for version in self.versions.values() for asset in version.assets)
        asset = next((asset for asset in everything if asset.asset_id == match["asset"]), None)
        if asset is None:
            return answer_json({"detail": "Not found."}, 404)
        if not self._allowed(asked, [asset]):
            return self._denied(asked)
        if match["download"] is None:
            return answer_json(asset.metadata(self.api, self.bucket_url))
        if asset.blob is None:
            return answer_json("Unable to provide download link for zarr assets.", 400)
        if query.get("content_disposition") == "inline":
            page = b"<!DOCTYPE html><html><body><video src='...'></video></body></html>"
            return of_bytes(200, (("Content-Type", "text/html"),), page)
        return self._redirect(asked, f"{self.bucket}/{blob_key(asset.blob)}")

    def _zarr(self, asked: Asked, match: re.Match[str], query: Mapping[str, str]) -> Answer:
        files = self.zarr_files.get(match["zarr"])
        if files is None or match["files"] is None:
            return answer_json({"detail": "Not found."}, 404)
        owners = [a for version in self.versions.values() for a in version.assets if a.zarr == match["zarr"]]
        if not self._allowed(asked, owners):
            return self._denied(asked)
        prefix = query.get("prefix", "").strip("/")
        if ".." in prefix.split("/"):
            return answer_json({"detail": "prefix leaves the zarr"}, 400)
        if query.get("download") == "true":
            return self._redirect(asked, f"{self.bucket}/zarr/{match['zarr']}/{prefix}")
        keys = sorted(key for key in files if key.startswith(prefix) and key > query.get("after", ""))
        limit = min(int(query.get("limit", MAX_PAGE)), MAX_PAGE)
        following = self._page_url(asked, {**query, "after": keys[limit - 1]}) if len(keys) > limit else None
        rows = [
            {"Key": key, "LastModified": "2023-03-17T15:41:18Z", "ETag": "0" * 32, "Size": files[key]}
            for key in keys[:limit]
        ]
        return answer_json({"next": following, "results": rows})

    # --- presigned ---------------------------------------------------------------------------------------------

    def _redirect(self, asked: Asked, path: str) -> Answer:
        """To a presigned URL of the bucket; signed anew each time."""
        signature = hashlib.sha256(f"{path} {len(self._signed)}".encode()).hexdigest()
        self._signed[signature] = 0
        query = urlencode({"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Expires": 21600, "X-Amz-Signature": signature})
        target = f"http://{asked.headers.get('host', '')}/{quote(path)}?{query}"
        return of_bytes(302, (("Location", target),), b"")

    def _guarded(self, asked: Asked) -> Answer | None:
        """An embargoed object: answered to a signature that is still good, and to nobody else."""
        signature = dict(parse_qsl(asked.query)).get("X-Amz-Signature", "")
        uses = self._signed.get(signature)
        if uses is None or (self.presigned_uses is not None and uses >= self.presigned_uses):
            code = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
            return of_bytes(403, (("Content-Type", "application/xml"),), code)
        self._signed[signature] = uses + 1
        return None


def _glob(pattern: str) -> re.Pattern[str]:
    """The archive's globs: only ``*`` is special, it crosses slashes, case is ignored, the whole path is matched."""
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.IGNORECASE)
