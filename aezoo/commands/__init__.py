"""Tasks in the shell, one module each: `add_to(app)` makes it a command of `aezoo`."""
