"""What the lake says of its work: to people on a terminal, as JSON in containers, and to a file with the SQL."""
