"""A first draft of a mapping, inferred from names, types, values and links; a person decides."""
