"""Backups of an instance: taken while it serves, and made an instance of again."""
