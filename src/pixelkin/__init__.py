"""pixelkin: mark a few pixels, get the map."""
