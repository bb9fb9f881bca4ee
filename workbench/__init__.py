"""The analyst's workbench: write a mapping, see what it does, review it, approve it; without a
call unless asked.
"""
