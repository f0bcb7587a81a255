"""Keys and access, limits, signing."""
