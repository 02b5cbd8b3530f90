"""A test subject that can be asked to turn and blink, made of public-domain portraits; and the paper that pretends.

For the demo and the tests. `kiosk` never imports it: to the terminal it is one more camera.
"""
