"""Confined opens, atomic and durable writes, filesystem facts."""
