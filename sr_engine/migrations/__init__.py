"""The revisions of the database's schema, one module each, oldest first by name.

A module `r0002_what_it_does.py` says `revision`, `down_revision`, and `works_from`: the oldest revision whose programs
still work on the schema once it is applied. `upgrade` says what to do by Alembic's operations, written out: what a
revision does never changes once it was released, whatever becomes of `store.tables`. docs/operations.md has the rules.
"""
