"""The logs, metrics and traces that the server reports about itself."""
