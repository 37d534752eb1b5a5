"""What there is to fetch."""
