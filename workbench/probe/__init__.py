"""A connector held against the server it describes: each declaration tried, and what the server
says to it.
"""
