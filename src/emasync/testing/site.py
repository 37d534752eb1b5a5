"""What the archive answers: S3-style buckets, Google Cloud Storage and plain files over one store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from emasync.testing import google, listing
from emasync.testing.content import XML, BucketRules, error, object_answer
from emasync.testing.messages import Answer, Asked, of_bytes
from emasync.testing.objects import ObjectStore

PathClass = Literal["object", "list", "bucket", "api"]

_DEFAULT = BucketRules()


class App(Protocol):
    """A part of the archive that speaks an API of its own. Pickled where the archive has a process of its own."""

    def answer(self, asked: Asked) -> Answer | None:
        """Answer a request, any method; None for one that is not this app's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The well-behaved archive.

    Attributes
    ----------
    store : ObjectStore
    buckets : mapping of str to BucketRules
        Rules by bucket; ``"*"`` stands for all others.
    page_limit : int
        Most rows of a listing page.
    apps : tuple of App
        Asked first, in this order.
    """

    store: ObjectStore
    buckets: Mapping[str, BucketRules] = field(default_factory=dict)
    page_limit: int = listing.PAGE_LIMIT
    apps: tuple[App, ...] = ()

    def rules(self, bucket: str) -> BucketRules:
        """Rules of `bucket`."""
        found = self.buckets.get(bucket)
        return found if found is not None else self.buckets.get("*", _DEFAULT)

    def answer(self, asked: Asked) -> Answer:
        """Answer one request."""
        for app in self.apps:
            if (answer := app.answer(asked)) is not None:
                return answer
        if asked.method not in ("GET", "HEAD"):
            return error(asked, 405, "MethodNotAllowed", "This archive is read-only.", (("Allow", "GET, HEAD"),))
        path = asked.key
        if path.startswith(google.API_PREFIX):
            return self._google(asked)
        bucket, slash, key = path.partition("/")
        rules = self.rules(bucket)
        if rules is not _DEFAULT and (refusal := _refusal(asked, rules, bucket)) is not None:
            return refusal
        if not key and (slash or asked.query or self.store.has_bucket(bucket)):
            return self._bucket(asked, rules, bucket)
        return self._object(asked, rules, path)

    def _object(self, asked: Asked, rules: BucketRules, path: str) -> Answer:
        found = self.store.get(path)
        if found is not None:
            return object_answer(asked, rules, path, found)
        if rules.missing_is_403:
            return error(asked, 403, "AccessDenied", "Access Denied")
        if not self.store.has_bucket(path.partition("/")[0]):
            return error(asked, 404, "NoSuchBucket", "The specified bucket does not exist")
        return error(asked, 404, "NoSuchKey", "The specified key does not exist.")

    def _bucket(self, asked: Asked, rules: BucketRules, bucket: str) -> Answer:
        if not self.store.has_bucket(bucket):
            return error(asked, 404, "NoSuchBucket", "The specified bucket does not exist")
        if asked.method == "HEAD":
            return of_bytes(200, (*XML, *_region(rules)), b"", bodiless=True)
        query = dict(parse_qsl(asked.query, keep_blank_values=True, errors="surrogateescape"))
        if "location" in query:
            where = f'<LocationConstraint xmlns="{listing.S3_NAMESPACE}">{escape(rules.region)}</LocationConstraint>'
            return of_bytes(200, XML, where.encode())
        if rules.list_denied:
            return error(asked, 403, "AccessDenied", "Access Denied")
        return self._list(asked, rules, bucket, query)

    def _list(self, asked: Asked, rules: BucketRules, bucket: str, query: Mapping[str, str]) -> Answer:
        try:
            floor, limit = listing.s3_floor(query), listing.s3_limit(query, self.page_limit)
        except ValueError as problem:
            return error(asked, 400, "InvalidArgument", str(problem))
        page = self._page(bucket, query, floor, limit)
        document = listing.s3_xml(bucket, query, page, limit, google=rules.kind == "google")
        return of_bytes(200, (*XML, *_region(rules)), document)

    def _page(self, bucket: str, query: Mapping[str, str], floor: str, limit: int) -> listing.Page:
        if limit == 0:  # S3 answers an empty page that is not truncated
            return listing.Page((), (), None, "")
        return listing.page_of(
            lambda start: self.store.scan(bucket, start),
            prefix=query.get("prefix", ""),
            floor=floor,
            delimiter=query.get("delimiter", ""),
            limit=limit,
        )

    def _google(self, asked: Asked) -> Answer:
        # the key's slashes are escaped, so the path is cut before it is decoded
        wanted = google.parse(asked.path[len(google.API_PREFIX) + 1 :], asked.query)
        if wanted is None or not self.store.has_bucket(wanted.bucket):
            return google.error(asked, 404, "The specified bucket does not exist.")
        rules = self.rules(wanted.bucket)
        if rules.private and "authorization" not in asked.headers:
            return google.error(asked, 401, "Anonymous caller does not have storage.objects.get access")
        if wanted.key is None:
            return self._google_list(asked, rules, wanted)
        path = f"{wanted.bucket}/{wanted.key}"
        if (found := self.store.get(path)) is None:
            return google.error(asked, 404, f"No such object: {path}")
        if wanted.query.get("alt") == "media":
            return object_answer(asked, rules, path, found)
        return google.metadata(wanted.bucket, wanted.key, found)

    def _google_list(self, asked: Asked, rules: BucketRules, wanted: google.Wanted) -> Answer:
        if rules.list_denied:
            return google.error(asked, 403, "Anonymous caller does not have storage.objects.list access")
        try:
            floor, limit = google.floor(wanted.query), google.limit(wanted.query, self.page_limit)
        except ValueError as problem:
            return google.error(asked, 400, str(problem))
        return google.listing(wanted.bucket, self._page(wanted.bucket, wanted.query, floor, limit))


def _refusal(asked: Asked, rules: BucketRules, bucket: str) -> Answer | None:
    if rules.elsewhere:
        return error(asked, 301, "PermanentRedirect", f"Bucket {bucket} is in {rules.region}.", _region(rules))
    if rules.private and "authorization" not in asked.headers:
        return error(asked, 403, "AccessDenied", "Access Denied")
    return None


def _region(rules: BucketRules) -> tuple[tuple[str, str], ...]:
    return (("x-amz-bucket-region", rules.region),) if rules.kind == "s3" else ()
