"""What the server reports about itself: logs, metrics and traces."""
