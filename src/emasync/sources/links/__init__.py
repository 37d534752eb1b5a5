"""What people paste: links, names and paths, read as entries of a manifest."""
