"""The objectives that nets are trained for: losses, and the loss networks that their features come from."""
