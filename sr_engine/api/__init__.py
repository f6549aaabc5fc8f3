"""The interface for CRM systems: JSON over HTTP below /api/v2, for whoever has a token of a Supplier."""
