"""Which records make a representative sample, and reading all that they need.

Door: choose.choose, closure.satisfy, shown.report_hidden.
"""
