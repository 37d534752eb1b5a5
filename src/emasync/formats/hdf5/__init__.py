"""HDF5 files, NWB among them."""
