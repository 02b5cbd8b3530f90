"""What terminals send each other: its sender is checked, it is kept until it is answered and passed on as it came."""
