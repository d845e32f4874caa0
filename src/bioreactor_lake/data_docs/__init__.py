"""The suites of the marts through Great Expectations itself, and its Data Docs; needs the extra `gx`."""
