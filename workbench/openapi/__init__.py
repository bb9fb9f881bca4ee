"""A connector drafted from an OpenAPI document: what it says, what follows from it, and what to
ask.
"""
