"""The command `zaigang` and the demo: the one package above both ends, importing them lazily."""
