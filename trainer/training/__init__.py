"""The training of a net: its steps, the loop, checkpoints, several processes, and the card of the result."""
