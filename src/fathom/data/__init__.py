"""Where data is found, how it is read, and how batches are made of it."""
