"""Readers of what a person brings: folders of pictures, tables, lines of JSON, texts. None imports torch."""
