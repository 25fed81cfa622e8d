"""Command-line options that several commands of the trainer share."""
