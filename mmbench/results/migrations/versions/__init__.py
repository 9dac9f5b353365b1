"""One module for each revision of the schema, `v<number>_<what>.py`."""
