"""A first draft of a mapping, told from names, types, values and links; a person decides."""
