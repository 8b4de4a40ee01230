"""One YAML per zoo entry."""
