"""What was admitted, in order: entries, chains, and the check that nothing was changed."""
