"""Tables: rows with their names, in CSV, LaTeX and HTML."""
