"""Which records make a telling sample, and reading all that they need."""
