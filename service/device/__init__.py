"""The device that nets run on, its cores, and its memory."""
