"""What the hardware says, as plain frozen values: camera, GPS, beacons. Knows neither verify nor the wire."""
