"""The pages of a Supplier."""
