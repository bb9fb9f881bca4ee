"""What the destination holds: which row is this, whose value is it, how is it written.

Door: rows.codec_of, match.match, compare.decide_field, resolve.resolve.
"""
