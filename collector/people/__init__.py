"""Workers and the permissions to enrol their faces."""
