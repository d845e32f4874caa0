"""PostgreSQL, where the marts are published: an embedded server for those who have none of their own."""
