"""The nets that are loaded on the device: read from the store, blended, cached and kept up to date."""
