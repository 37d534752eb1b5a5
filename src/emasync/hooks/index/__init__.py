"""The hook that makes the chunk index: what was fetched is walked through once, from disk and from the ledger."""
