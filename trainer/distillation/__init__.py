"""The training of light nets, which learn to paint as full nets do."""
