"""Spreadsheets in and out: reading what people bring, telling them row by row what became of it, exporting tables.

It knows no store, no HTTP and no keys: what the accepted rows ask for becomes bodies of Service Requests, which whoever
calls it carries out.
"""
