"""The pages for people: devices and the latest punches, live."""
