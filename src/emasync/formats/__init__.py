"""What bytes mean: parsers without I/O."""
