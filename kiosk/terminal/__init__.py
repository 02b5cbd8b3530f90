"""The screen that a worker sees."""
