"""The centre: keeps what terminals signed in a ledger and answers HR."""
