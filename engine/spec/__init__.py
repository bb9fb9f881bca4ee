"""What a migration means: the spec, compiled and frozen."""
