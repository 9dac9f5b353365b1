"""Components for mmbench from outside: one module each, named by the entry points in pyproject.toml."""
