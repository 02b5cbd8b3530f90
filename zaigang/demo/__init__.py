"""`zaigang demo`: the whole road in one command, on embedded defaults, every step held against what is expected."""
