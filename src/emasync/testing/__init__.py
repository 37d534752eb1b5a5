"""Shipped test gear: the loopback archive, faults, generated volumes."""
