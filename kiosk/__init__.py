"""The terminal: one process that looks at who stands before it, signs what it saw and sends it."""
