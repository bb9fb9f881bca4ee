"""YAML as this project reads it: the place of everything, its shape, what was meant.

Door: document.read, validation.check_shape, suggestions.suggest.
"""
