"""Types that every part of the service shares: options of a picture, problems, events and request ids."""
