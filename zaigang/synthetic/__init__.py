"""A test subject that can be asked to turn and blink, made of two public-domain portraits; and the paper that pretends to be it.

For the demo and the tests. `kiosk` never imports it: to the terminal it is one more camera.
"""
