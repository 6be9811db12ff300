"""What lessons say, one file each: a literal ``CLAIM``, and ``measure`` where settings cannot say it."""
