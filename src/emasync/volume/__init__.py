"""The read wing: which chunks hold a block, where their bytes lie, and the voxels out of them. No network."""
