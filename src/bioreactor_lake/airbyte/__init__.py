"""Connections of Airbyte's connectors: what they extract lands, in the form that Airbyte writes."""
