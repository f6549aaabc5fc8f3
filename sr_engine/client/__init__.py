"""Sending Service Requests."""
