"""The revisions of the registry's tables, one file each, the oldest first."""
