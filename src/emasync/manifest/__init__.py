"""YAML → frozen, checked values with positions."""
