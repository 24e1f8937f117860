"""Weights of two networks: layers with equal names and shapes, kernel CKA of weights, filters as text and as pictures."""
