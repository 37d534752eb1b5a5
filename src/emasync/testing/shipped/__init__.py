"""The loopback twin of every archive that a shipped manifest names, and what a run must leave on disk of each."""
