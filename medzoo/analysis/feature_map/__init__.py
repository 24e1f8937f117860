"""The space of pooled features: a map with two axes, and how well a linear classifier separates groups of images."""
