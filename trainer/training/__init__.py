"""How a net is trained: steps, the loop, checkpoints, several processes, and the card of the result."""
