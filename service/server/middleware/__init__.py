"""The middleware that every request passes through before and after its route."""
