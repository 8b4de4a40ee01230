"""The figures that entries are judged by: each `measure(model, dataset)` and its controls."""
