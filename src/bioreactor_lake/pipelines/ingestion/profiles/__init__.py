"""File profiles: what an export of an instrument looks like, and how its cells become readings."""
