"""TIFF files: classic and BigTIFF, with what ImageJ and OME say about them."""
