"""Arrays inside of other people's files, decoded chunk by chunk to what independent readers found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.decoding.whole import FileBytes, digest, of_file, truth

from emasync.formats.content import NoDecoderError
from emasync.formats.decoding import decoder_for, layout_of_stored
from emasync.formats.hdf5.format import Hdf5Format
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
HDF5 = [
    "hdf5/jhdf__100B_max_dimension_size.hdf5",
    "hdf5/jhdf__bitshuffle_datasets.hdf5",
    "hdf5/jhdf__chunked_v4_datasets.hdf5",
    "hdf5/jhdf__fixed_array_paged_datasets.hdf5",
    "hdf5/jhdf__fletcher32_datasets_latest.hdf5",
    "hdf5/jhdf__lz4_datasets.hdf5",
    "hdf5/jhdf__test_byteshuffle_compressed_datasets_earliest.hdf5",
    "hdf5/jhdf__test_chunked_datasets_earliest.hdf5",
    "hdf5/jhdf__test_chunked_datasets_latest.hdf5",
    "hdf5/jhdf__test_compressed_chunked_datasets_earliest.hdf5",
    "hdf5/kerchunk__air.nc",
    "hdf5/probeinterface__data.raw.h5",
    "hdf5/probeinterface__mearec_smaller_data.h5",
    "hdf5/pyfive__filter_pipeline_v2.hdf5",
    "hdf5/pytables__b2nd-no-chunkshape.h5",
    "hdf5/rosettasciio__py4DSTEM_size2x3x4x5.h5",
    "hdf5/rosettasciio_arina/test_00_data_000001.h5",
    "hdf5/rosettasciio_arina/test_00_master.h5",
    "nwb_hdf5/hdmf-zarr__sub_anm00239123_ses_20170627T093549_ecephys_and_ogen.nwb",
    "nwb_hdf5/pynwb__1.1.2_nwbfile.nwb",
    "nwb_hdf5/pynwb__1.5.1_imageseries_no_data.nwb",
    "nwb_hdf5/pynwb__2.1.0_imageseries_non_external_format.nwb",
    "nwb_hdf5/pynwb__2.1.0_nwbfile_with_extension.nwb",
]

OF_DEVICES = {401}
"""Filters that come with a device's own software."""


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


@pytest.mark.parametrize("unit", HDF5)
def test_hdf5_datasets_have_the_values_that_others_found(fixtures_folder: Path, unit: str) -> None:
    facts = truth(fixtures_folder)[unit]["datasets"]
    compared = 0
    for array in described(fixtures_folder / unit, Hdf5Format()).arrays:
        expected = facts.get(array.path.strip("/"))  # of the first sixty
        if expected is None or (array.whole is None and array.table is None):  # in the headers of the file
            continue
        if set(expected.get("filters") or ()) & OF_DEVICES:
            with pytest.raises(NoDecoderError, match="nothing here undoes codec hdf5"):
                decoder_for(layout_of_stored(array))
            continue
        assert digest(of_file(fixtures_folder / unit, array)) == expected["sha256"], array.path
        compared += 1
    assert compared or not any("sha256" in dataset for dataset in facts.values())
