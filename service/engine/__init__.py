"""The engine, which decides what is computed when: the queue of pictures, batches, and the lanes of the device."""
