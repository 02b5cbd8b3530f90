"""Evidence bundles: what an arbitrator gets about one worker or one site, and a record of who asked for it."""
