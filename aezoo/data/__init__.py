"""Data sets by name, from folders and from files; rows and their roles."""
