"""Where terminals stand."""
