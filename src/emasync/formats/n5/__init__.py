"""N5: groups, datasets, blocks, and the metadata of multiscale images, without I/O.

Source of all rules, unless another is named: the N5 specification 4.0.0 (``saalfeldlab/n5``, README, "File-system
specification"). N5 counts axes x, y, z: what this package gives is turned round, so that the last axis is the fastest
like everywhere else here; the bytes of blocks need no turning.
"""

from emasync.formats.n5.format import N5Format
from emasync.formats.n5.walk import N5Walk

__all__ = ["N5Format", "N5Walk"]
