"""What is computed when: the queue of pictures, the batches made of it, and the lanes of the device."""
