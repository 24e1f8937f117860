"""Masked patches: masks, networks that see them, and what reconstructs them."""
