"""Traffic for rehearsing alarms, and what an endpoint captured of it."""
