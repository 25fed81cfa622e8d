"""What nets are trained for: losses, and the loss networks that they look through."""
