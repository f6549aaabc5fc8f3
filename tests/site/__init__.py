"""The documentation's site: pages that are written from the schema and the configuration, and what checks all of it."""
