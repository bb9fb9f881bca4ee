"""etl as a library, and what the command line shares with it: an open migration and its commands.

Door: migration.open, opening.held, opening.numbered, gate.Gate.
"""
