"""The progress of commands, shown while they run."""
