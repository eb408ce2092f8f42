"""Older libraries: their programs run after changing the import."""
