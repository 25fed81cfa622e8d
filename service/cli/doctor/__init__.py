"""The command `impasto doctor`, which examines an installation and reports what does not work.

Each examination yields facts, and findings where something that should work does not.
"""
