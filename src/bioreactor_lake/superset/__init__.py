"""Superset: the dashboards on the marts as one bundle, how a server gets them, and a server of one's own."""
