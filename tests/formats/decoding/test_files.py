"""Pages of other people's files, decoded chunk by chunk, into memory that is given too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.decoding.whole import FileBytes, digest, of_file, truth

from emasync.formats.stored import FileDescription, FileFormat
from emasync.formats.tiff.format import TiffFormat

TIFF = [
    "bigtiff/image-tiff__BigTIFF.tif",
    "bigtiff/image-tiff__BigTIFFLong.tif",
    "bigtiff/image-tiff__BigTIFFMotorola.tif",
    "bigtiff/imagecodecs__gray.bigtiff.u1.tif",
    "imagej_tiff/rosettasciio__test_loading_image_saved_with_imageJ.tif",
    "imagej_tiff/rosettasciio__test_loading_image_saved_with_imageJ_no_scale.tif",
    "imagej_tiff/rosettasciio__test_loading_image_saved_with_imageJ_stack.tif",
    "ome_tiff/viv__multi-channel.ome.tif",
    "ome_tiff/webknossos-libs__multi-channel-z-series.ome.tif",
    "ome_tiff/webknossos-libs__single-channel.ome.tiff",
    "tiff_compressed/image-tiff__int16_zstd.tif",
    "tiff_compressed/image-tiff__predictor-3-gray-f32.tif",
    "tiff_compressed/image-tiff__seq-1c-16b-lzw-68f373a0.tiff",
    "tiff_compressed/image-tiff__seq-1c-8b-tiled-deflate-20f3db0c.tiff",
    "tiff_compressed/imagecodecs__gray.lzma.u2.tif",
    "tiff_compressed/imagecodecs__gray.packbits.u2.tif",
    "tiff_compressed/imagecodecs__gray.zstd.u1.tif",
    "tiff_compressed/imagecodecs__gray.zstd.u2.tif",
    "tiff_compressed/imagecodecs__rgb.predict.u1.tif",
    "tiff_compressed/imagecodecs__rgb.tiled.lzw.u1.tif",
    "tiff_compressed/pillow__16bit.deflate.tif",
    "tiff_compressed/pillow__tiff_tiled_planar_lzw.tiff",
    "tiff_compressed/tensorstore__D75_08b_tiled.tiff",
    "tiff_multipage/image-tiff__seq-1c-8b-multipage-adeefdcc.tiff",
    "tiff_multipage/imagecodecs__gray.depth.u1.tif",
    "tiff_multipage/imagecodecs__gray.tiled.u2.tif",
    "tiff_multipage/pillow__multipage-mmap.tiff",
    "tiff_multipage/pillow__multipage.tiff",
    "tiff_multipage/pillow__multipage_out_of_order.tiff",
    "tiff_multipage/rosettasciio__olympus_SIS.tif",
    "tiff_multipage/rosettasciio__optical_Zeiss_AxioVision_BW.tif",
    "tiff_multipage/rosettasciio__test_loading_image_saved_with_DM.tif",
    "tiff_multipage/scifio__leica_stack_Series014_z000_ch00.tif",
    "tiff_multipage/scifio__leica_stack_Series014_z002_ch00.tif",
    "tiff_multipage/scikit-image__chessboard_GRAY_U16B.tif",
    "tiff_multipage/scikit-image__multipage.tif",
]


def described(path: Path, reader: FileFormat) -> FileDescription:
    return reader.describe(FileBytes(path))


def digests(voxels: Any, dtype: str) -> set[str]:
    """As the file has it, and as its reader turned it: one bit a pixel is a boolean to some."""
    return {digest(voxels), digest(voxels.astype(np.dtype(dtype)))}


@pytest.mark.parametrize("unit", TIFF)
def test_tiff_pages_have_the_pixels_that_others_found(fixtures_folder: Path, unit: str) -> None:
    series = truth(fixtures_folder)[unit]["series"]
    arrays = described(fixtures_folder / unit, TiffFormat()).arrays
    found = [of_file(fixtures_folder / unit, array) for array in arrays]
    assert len(found) == len(series)
    for facts in series:
        assert any(facts["sha256"] in digests(voxels, facts["dtype"]) for voxels in found)
