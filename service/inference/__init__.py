"""Inference forms: nets rearranged to compute the same faster."""
