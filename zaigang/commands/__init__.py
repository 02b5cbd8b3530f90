"""One file a subcommand of `zaigang`."""
