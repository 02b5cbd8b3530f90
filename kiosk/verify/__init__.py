"""What a face is: models, landmarks, quality, challenge, planarity, matching. Knows neither sensors nor the wire."""
