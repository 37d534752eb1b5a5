"""How an upload in parts may have been cut, from its size and the number of its parts. Pure.

Its digest does not tell. Most programs cut in whole MiB, a few in equal parts; with many parts the number leaves one
or two such sizes, with few parts the sizes that the usual programs start with come first.
"""

from __future__ import annotations

from typing import Final

from emasync.engine.digest_parts import Cut
from emasync.model.digest import Digest

MIB: Final = 1 << 20

USUAL_BYTES: Final = (
    *(count * MIB for count in (8, 5, 16, 64, 50, 10, 15, 100, 128, 32, 25, 20, 6, 7, 256, 512)),
    # aws s3, boto3, CRT: 8; rclone, goofys: 5; Hadoop: 64; s5cmd, s3fs: 50; s3fs-fuse: 10; s3cmd: 15
    5_000_000,
    8_000_000,
    10_000_000,
    17_179_870,  # the AWS console
    100_000_000,
)

MOST_CUTS: Final = 4
"""Each may cost one pass over the file."""


def possible_cuts(digest: Digest, size_bytes: int, seen_bytes: int | None = None) -> tuple[Cut, ...]:
    """Cuts that make as many parts as `digest` says, the likeliest first; at most :data:`MOST_CUTS`.

    Parameters
    ----------
    digest : Digest
        Its value ends in a dash and the number of parts.
    size_bytes : int
        Of the object.
    seen_bytes : int, optional
        The part size of an object of the same uploader.
    """
    count = int(digest.value.rpartition("-")[2])
    if size_bytes <= 0 or count > size_bytes:
        return ()
    smallest = -(-size_bytes // count)
    largest = size_bytes if count == 1 else (size_bytes - 1) // (count - 1)
    likely = [*(() if seen_bytes is None else (seen_bytes,)), *USUAL_BYTES]
    likely += [smallest // MIB * MIB + MIB, largest // MIB * MIB, smallest]
    if count == 1:
        likely = [size_bytes]  # however it was to be cut
    fitting = [part_bytes for part_bytes in dict.fromkeys(likely) if smallest <= part_bytes <= largest]
    return tuple(Cut(digest.kind, part_bytes) for part_bytes in fitting[:MOST_CUTS])
