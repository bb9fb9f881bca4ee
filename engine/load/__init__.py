"""Carrying a plan out: intent first, then the call, then the outcome, until none is unknown."""
