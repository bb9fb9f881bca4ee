"""Taking a migration back: what must stay, and how the rest is undone.

Door: undo.rollback, retained.find_retained.
"""
