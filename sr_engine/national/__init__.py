"""A whole country's release, played on a virtual clock through the real processor, and compared with other ways."""
