"""YAML as this project reads it: the place of everything, its shape, and what was meant.

Door: document.read, validation.check_shape, suggestions.suggest.
"""
