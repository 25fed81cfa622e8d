"""What all rooms of the service agree on: options of a picture, problems, events and request ids."""
