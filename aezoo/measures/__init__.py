"""Measures that entries are judged by, one family per file; `reference` sections name them."""
