"""Compile manifest entries into task sets: selection, layout, order, subset metadata."""
