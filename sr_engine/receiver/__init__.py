"""Receiving Responses and Alerts."""
