"""Gatan DigitalMicrograph files, DM3 and DM4."""
