"""etl as a library, and what the command line shares with it: a migration that is open, and its
commands.

Door: migration.open, opening.held, opening.numbered, gate.Gate.
"""
