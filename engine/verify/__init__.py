"""What was written beside what the destination holds now, field by field.

Door: compare.compare, tally.count.
"""
