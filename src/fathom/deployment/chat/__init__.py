"""Talking with a language model: its template, its tokens, one answer at a time."""
