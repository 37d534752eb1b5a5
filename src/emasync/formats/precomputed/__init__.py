"""Neuroglancer precomputed volumes: discovery, chunk names, shards and metadata, without I/O.

Source of all rules: the Neuroglancer repository, ``src/datasource/precomputed/volume.rst`` and ``sharded.rst``.
"""
