"""Record to draft: pure functions, no I/O."""
