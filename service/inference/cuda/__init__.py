"""Nets in the form that a CUDA device computes fastest."""
