"""Tests of mappings: cases beside a spec, made by hand or from staged records."""

CASES = ".test.yaml"  # how the name of a file of cases ends
