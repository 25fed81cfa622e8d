"""How nets are measured and looked at."""
