"""Readers of a person's own data: plain arrays and lists in small records. Nothing here imports torch."""
