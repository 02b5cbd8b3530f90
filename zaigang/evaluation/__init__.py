"""What `zaigang evaluate` measures: attempts, clips and pairs through the terminal's own code, and the reports."""
