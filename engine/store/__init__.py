"""What is known and what was done: records, drafts, links, journal, quota."""
