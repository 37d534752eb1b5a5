"""The fields of the table: names, kinds, and how candidates for one are told apart.

Names carry their unit. ``docs/metadata.md`` lists them from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Value: TypeAlias = "str | int | float | bool | tuple[str, ...]"

Kind = Literal["text", "texts", "integer", "number", "boolean"]
"""``texts``: a list of them, joined by ``; `` in flat tables."""

Group = Literal["identity", "array", "storage", "rights", "biology", "acquisition", "provenance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column.

    Attributes
    ----------
    name : str
    group : str
    kind : {"text", "texts", "integer", "number", "boolean"}
    sourced : bool
        A statement about the specimen, the array or the rights, so that flat tables have ``<name>_source`` too.
    nearest : bool
        What is said of an asset replaces what is said of a dataset around it, without a conflict.
    finest : bool
        Statements that name no level are about the finest one.
    structural : bool
        The bytes decide: nobody's word is preferred to a header's.
    quiet : bool
        Others may say something else without a conflict.
    about : str
    """

    name: str
    group: Group
    kind: Kind
    sourced: bool = True
    nearest: bool = False
    finest: bool = False
    structural: bool = False
    quiet: bool = False
    about: str


def _field(group: Group, kind: Kind, name: str, about: str, *flags: str) -> Field:
    plain = group in ("identity", "storage", "provenance") and "sourced" not in flags
    return Field(
        name=name,
        group=group,
        kind=kind,
        sourced=not plain,
        nearest="nearest" in flags,
        finest="finest" in flags,
        structural="structural" in flags,
        quiet="quiet" in flags,
        about=about,
    )


def _each(group: Group, kind: Kind, names: Iterable[str], about: str, *flags: str) -> list[Field]:
    return [_field(group, kind, name, about, *flags) for name in names]


_ZYX: Final = ("z", "y", "x")

FIELDS: Final[tuple[Field, ...]] = (
    _field("identity", "text", "dataset_id", "of the manifest"),
    _field("identity", "text", "asset_id", "path below the dataset's folder; the dataset's id where that is the asset"),
    _field("identity", "text", "array_path", "of the array inside the asset"),
    _field("identity", "integer", "scale_level", "as published, 0 for the finest; empty where there are no levels"),
    _field("identity", "text", "title", "", "sourced", "nearest", "quiet"),
    _field("identity", "text", "description", "", "sourced", "nearest", "quiet"),
    _field("identity", "text", "source_portal", "kind of source, or the archive's name"),
    _field("identity", "text", "source_url", "a page for people"),
    _field("identity", "text", "access_url", "where the bytes are"),
    _field("identity", "text", "accession", "the archive's name of the entry", "nearest"),
    _field("identity", "text", "version", "of the entry", "nearest"),
    _field("identity", "text", "retrieved_at", "when the first file of the asset was written here, RFC 3339, UTC"),
    _field("array", "text", "modality", "", "nearest"),
    _field("array", "text", "modality_fbbi", "term of the Biological Imaging Methods Ontology", "nearest"),
    _field("array", "text", "axes", "names, the slowest first", "structural"),
    *_each(
        "array",
        "integer",
        [f"shape_{axis}" for axis in (*_ZYX, "c", "t")],
        "voxels of the whole array as published, also where a part of it was fetched",
        "finest",
        "structural",
    ),
    _field("array", "text", "dtype", "as numpy names it, without byte order", "structural"),
    _field("array", "text", "byte_order", "little, big or none", "structural"),
    *_each("array", "number", [f"voxel_size_{axis}_nm" for axis in _ZYX], "distance of voxel centres", "finest"),
    _field("array", "text", "voxel_unit", "unit of voxel sizes as published", "finest", "quiet"),
    *_each("array", "number", [f"origin_{axis}_nm" for axis in _ZYX], "centre of the first voxel", "finest"),
    *_each("array", "number", [f"extent_{axis}_um" for axis in _ZYX], "voxel size times shape"),
    _field("array", "boolean", "isotropic", "whether voxel sizes differ by less than 1 %"),
    _field("array", "boolean", "is_label", "whether voxels are names of segments", "nearest"),
    *_each("array", "number", ["value_min", "value_max", "value_mean"], "of voxels, as a header says"),
    _field("array", "number", "sampling_rate_hz", "of recordings", "nearest"),
    _field("array", "integer", "n_channels", "of recordings", "structural"),
    _field("array", "integer", "n_samples", "of recordings, a channel", "structural"),
    _field("array", "number", "duration_s", "of recordings and videos"),
    _field("array", "number", "frame_rate_hz", "of videos"),
    _field("array", "text", "value_unit", "of recorded samples"),
    _field("array", "number", "value_scale", "factor from samples to value_unit"),
    _field("storage", "text", "format", ""),
    _field("storage", "text", "format_version", ""),
    _field("storage", "text", "metadata_convention", "such as OME-NGFF 0.4"),
    *_each("storage", "integer", [f"chunk_{axis}" for axis in _ZYX], "voxels of a chunk"),
    *_each("storage", "integer", [f"shard_{axis}" for axis in _ZYX], "voxels of an object that holds several chunks"),
    _field("storage", "text", "codec_chain", "in the order of encoding"),
    _field("storage", "boolean", "lossy", "whether a codec changes values"),
    _field("storage", "integer", "n_files", "on disk"),
    _field("storage", "integer", "n_chunks_expected", "objects of chunks in what was asked for"),
    _field("storage", "integer", "n_chunks_present", "of these on disk"),
    _field("storage", "integer", "n_chunks_absent", "of these left out by the publisher: fill value"),
    _field("storage", "number", "completeness", "present and absent over expected, 0 to 1"),
    _field("storage", "integer", "bytes_on_disk", ""),
    _field("storage", "integer", "bytes_uncompressed", "of the voxels that are on disk"),
    _field("storage", "number", "compression_ratio", "uncompressed over on disk"),
    *_each("storage", "integer", [f"box_start_{axis}" for axis in _ZYX], "what was asked for, source voxels"),
    *_each("storage", "integer", [f"box_shape_{axis}" for axis in _ZYX], "what was asked for, source voxels"),
    *_each("storage", "integer", [f"hull_start_{axis}" for axis in _ZYX], "whole chunks around the box"),
    *_each("storage", "integer", [f"hull_shape_{axis}" for axis in _ZYX], "whole chunks around the box"),
    _field("storage", "text", "volume_asset", "what emasync.open_volume takes as asset"),
    _field("storage", "text", "volume_array", "what emasync.open_volume takes as array"),
    _field("rights", "text", "license_spdx", "identifier of the SPDX licence list", "nearest"),
    _field("rights", "text", "license_text", "as published, where it is no such identifier", "nearest"),
    _field("rights", "text", "license_url", "", "nearest"),
    _field("rights", "texts", "doi_data", "", "nearest"),
    _field("rights", "texts", "doi_paper", "", "nearest"),
    _field("rights", "text", "citation", "", "nearest"),
    _field("rights", "texts", "authors", "", "nearest"),
    _field("biology", "text", "organism", ""),
    _field("biology", "integer", "ncbi_taxon", "number in the NCBI taxonomy"),
    _field("biology", "text", "subject_id", "", "nearest"),
    _field("biology", "text", "sex", "male, female, unknown or other"),
    _field("biology", "text", "age", "ISO 8601 duration, or as published"),
    _field("biology", "text", "date_of_birth", ""),
    _field("biology", "text", "genotype", ""),
    _field("biology", "text", "strain", ""),
    _field("biology", "text", "sample", "", "nearest"),
    _field("biology", "text", "tissue", "or cell line", "nearest"),
    _field("biology", "text", "developmental_stage", ""),
    _field("biology", "text", "preparation", "", "nearest"),
    _field("biology", "text", "treatment", "", "nearest"),
    _field("acquisition", "text", "instrument", "", "nearest"),
    _field("acquisition", "text", "technique", "", "nearest"),
    _field("acquisition", "number", "voltage_kv", ""),
    _field("acquisition", "number", "current_na", ""),
    _field("acquisition", "number", "dwell_time_us", ""),
    _field("acquisition", "number", "scan_rate_mhz", ""),
    _field("acquisition", "text", "acquired_at", "ISO 8601; with a zone only where one is published", "nearest"),
    _field("acquisition", "text", "session_id", "", "nearest"),
    _field("acquisition", "text", "institution", "", "nearest"),
    _field("acquisition", "text", "probe", "kind or name", "quiet"),
    _field("acquisition", "texts", "channels", "names of channels or wavelengths"),
    _field("provenance", "text", "sha256", "of the file"),
    _field("provenance", "text", "md5", "of the file"),
    _field("provenance", "text", "crc32c", "of the file"),
    _field("provenance", "text", "other_digests", "kind:hex, comma separated"),
    _field("provenance", "text", "checksum_source", "publisher, computed or both"),
    _field("provenance", "text", "parent_asset", "what it was made of", "nearest"),
    _field("provenance", "texts", "processing", "steps, in their order", "nearest"),
    _field("provenance", "text", "tool_version", "that wrote this row"),
)

BY_NAME: Final[Mapping[str, Field]] = {field.name: field for field in FIELDS}

SOURCED: Final = tuple(field.name for field in FIELDS if field.sourced)
