"""Everything that talks to everything, in one process on one port: for whoever wants to try a request."""
