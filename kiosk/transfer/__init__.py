"""Faces to and from the site's other terminals, sealed for one of them; off unless the settings have [transfer]."""
