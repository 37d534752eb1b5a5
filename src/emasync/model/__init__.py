"""Values that cross floors: locations, geometry, tasks, events, the receipt. Frozen; no I/O."""
