"""Bytes over the wire; every request passes ``governed.py``."""
