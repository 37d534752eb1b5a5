"""What a large object's bytes are checked against, while parts land and at the end. Reads, never fetches (law 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emasync.disk.crc import combine
from emasync.disk.interface import Partial
from emasync.engine.digest_parts import CRC_PART_BYTES, Cut, LandingParts, SerialParts, dandi_part_bytes
from emasync.engine.digest_prefix import PrefixHashes
from emasync.engine.digest_states import COMPOSITIONS
from emasync.engine.digest_told import Told, told_digests
from emasync.engine.digests import (
    Checks,
    Findings,
    confirm,
    judge,
    promised_digests,
    read_pieces,
    wanted_hashes,
)
from emasync.engine.upload_cuts import possible_cuts
from emasync.engine.version import Version
from emasync.model.digest import PARTS_SUFFIX, Digest, Validator
from emasync.model.task import Task


@dataclass(frozen=True, slots=True)
class Judge:
    """Checks the versions of one object.

    Attributes
    ----------
    task : Task
    checks : {"published", "sha256", "size"}
    etag_is_md5 : bool
        What the host's policy says.
    seen_part_bytes : dict of int to int
        Part size of the last upload of each task set whose cut was found out: its uploader cuts the next one alike.
    """

    task: Task
    checks: Checks
    etag_is_md5: bool
    seen_part_bytes: dict[int, int]

    def told(self, version: Version) -> Told:
        """Everything that vouches for the bytes of `version`: what was published, and what its first answer said."""
        head = version.head
        if head is None:
            return Told(self.task.digests)
        told = told_digests(head, etag_is_md5=self.etag_is_md5)
        stated = Told() if version.stated is None else told_digests(version.stated, etag_is_md5=False)
        vouched = self.etag_is_md5 and head.content_encoding is None
        published = (*self.task.digests, *told.binding, *stated.binding)
        binding = promised_digests(published, head.validator, etag_is_md5=vouched)
        return Told(binding, tuple(dict.fromkeys((*told.hints, *stated.hints))))

    def lacks_proof(self, version: Version) -> bool:
        """Whether nothing vouches for the whole of `version` so far."""
        return self.checks != "size" and not self.told(version).binding

    def landing(self, version: Version) -> LandingParts | None:
        """Parts to be hashed while the bytes are still in memory; None where no digest composes."""
        if self.checks == "size" or not version.total_bytes:
            return None
        cut = next(self._cuts(self.told(version), version.total_bytes), None)
        return None if cut is None else LandingParts(version.total_bytes, cut)

    def prefix(self, version: Version) -> PrefixHashes | None:
        """Digests of the bytes in their order, to be taken while parts land; None where none is asked for."""
        kinds = self._serial_kinds(version)
        return PrefixHashes(kinds, version.total_bytes) if kinds and version.total_bytes else None

    def _serial_kinds(self, version: Version) -> list[str]:
        landed = version.landing
        kinds = wanted_hashes(self.told(version).binding, self.checks)
        return [kind for kind in kinds if landed is None or kind != landed.cut.kind]

    def _cuts(self, told: Told, size_bytes: int) -> Iterator[Cut]:
        for digest in told.binding:
            if digest.kind == "dandi-etag":
                yield Cut(digest.kind, dandi_part_bytes(size_bytes))
        for digest in told.binding or told.hints:
            if digest.kind in COMPOSITIONS and digest.kind != "crc32c":  # that one is kept of every part anyway
                yield Cut(digest.kind, CRC_PART_BYTES)
            elif digest.kind.endswith(PARTS_SUFFIX):
                yield from possible_cuts(digest, size_bytes, self.seen_part_bytes.get(self.task.set_id))

    def findings(self, version: Version, partial: Partial) -> Findings:
        """In a thread: judge a version that is whole.

        Raises
        ------
        IntegrityError
            A digest that binds differs.
        """
        told, size_bytes = self.told(version), version.total_bytes or 0
        crc = _parts_crc(version)
        computed: dict[str, str] = {}
        landed = version.landing
        if kinds := self._serial_kinds(version):
            known = version.prefix
            prefix = known if known is not None and known.kinds == set(kinds) else PrefixHashes(kinds, size_bytes)
            computed = prefix.hexdigests(partial.read)
        if landed is not None and any(digest.kind == landed.cut.kind for digest in told.binding):
            computed[landed.cut.kind] = landed.hexdigest(partial.read)
        validator = version.validator or Validator()
        found = judge(told.binding, computed, crc, validator, checks=self.checks, location=self.task.location)
        return confirm(found, told.hints, self._trial(version, partial, crc))

    def _trial(self, version: Version, partial: Partial, crc32c: int) -> Callable[[Digest], str | None]:
        size_bytes = version.total_bytes or 0

        def digest_of(cut: Cut) -> str:
            if version.landing is not None and version.landing.cut == cut:
                return version.landing.hexdigest(partial.read)
            state = SerialParts(cut)
            for piece in read_pieces(partial.read, size_bytes):
                state.update(piece)
            return state.hexdigest()

        def try_out(hint: Digest) -> str | None:
            if hint.kind == "crc32c":
                return f"{crc32c:08x}"
            for cut in self._cuts(Told(hints=(hint,)), size_bytes):
                if digest_of(cut) == hint.value:
                    self.seen_part_bytes[self.task.set_id] = cut.part_bytes
                    return hint.value
            return None

        return try_out


def _parts_crc(version: Version) -> int:
    """CRC-32C of the object from those of the parts it came in."""
    crc = 0
    for start in sorted(version.done):
        part = version.done[start]
        crc = combine(crc, part.crc32c, part.stop - part.start)
    return crc
