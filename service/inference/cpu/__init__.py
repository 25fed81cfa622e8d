"""Nets in the form that a CPU computes fastest."""
