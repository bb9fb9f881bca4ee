"""What is known and what was done: records, drafts, links, the plan, the journal, what was spent.

Door: tables.open_store, lease.lease, records.save_page, links.save_drafts, journal.intend.
"""
