"""Options that several commands of the trainer have in common."""
