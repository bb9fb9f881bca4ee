"""A declarative migration engine: it interprets specs and connectors and knows no platform by
name.
"""
