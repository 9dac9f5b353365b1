"""Alembic's migrations of the results store, one file a revision; `mmbench.results.migrate` runs them.

There is no `env.py`: migrations run inside the caller's transaction, on the caller's connection.
"""
