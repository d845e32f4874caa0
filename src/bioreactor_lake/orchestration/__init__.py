"""The lake in an orchestrator. Dagster needs the extra `dagster`; nothing else imports this."""
