"""The tree and the acquisition files of flexiznam (``znamlab/flexiznam``, v0.4 and the older generation)."""
