"""Bytes of chunks → voxels: one decoder for all formats, built from a :class:`~emasync.formats.chunks.ChunkLayout`."""

from __future__ import annotations

from emasync.formats.decoding.decoder import decoder_for
from emasync.formats.decoding.layouts import layout_of, layout_of_stored

__all__ = ["decoder_for", "layout_of", "layout_of_stored"]
