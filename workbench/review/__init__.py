"""A change of mappings under review: what is wrong with it and what it does, as one comment."""
