"""Tests of mappings: cases beside a spec, made by hand or from staged records."""
