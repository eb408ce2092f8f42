"""Old spellings: what was written for an older library runs with another import."""
