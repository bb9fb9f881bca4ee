"""The engine's commands: a module a command, named in `commands.py` and imported when it is called."""
