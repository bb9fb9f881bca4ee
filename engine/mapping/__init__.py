"""Record to draft: what one record should be in the destination, and how each field came about.

Door: evaluate.evaluate, draft.transform.
"""
