"""`impasto doctor`: what this installation has, and whether it works.

Each examination yields facts, and findings where something that should work does not.
"""
