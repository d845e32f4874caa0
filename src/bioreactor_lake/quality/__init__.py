"""Data quality: suites of expectations, read from configuration and asked of tables; pure."""
