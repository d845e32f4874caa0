"""The landing zone: originals as they came, who brought them and when, and how their cells are read."""
