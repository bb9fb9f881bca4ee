"""The command line: one command a job, one exit code a kind of ending.

Door: main.main, commands.group, environment.accounts.
"""
