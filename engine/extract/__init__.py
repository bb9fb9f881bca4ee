"""Reading the source: every record once, then what has changed, and what both accounts hold.

Door: full.extract, incremental.read_changes, hydrate.hydrate, audit.match_people.
"""
