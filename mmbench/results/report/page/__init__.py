"""The page: sections in, one HTML file and its assets out."""
