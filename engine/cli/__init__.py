"""The command line: one command for each job, one exit code for each kind of ending.

Door: main.main, commands.group, environment.accounts.
"""
