"""What a migration means: the spec, compiled, checked and frozen.

Door: compile.load_migration, dependencies.needed.
"""
