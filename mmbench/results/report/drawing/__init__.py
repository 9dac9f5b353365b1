"""Figures: numbers in, a matplotlib figure out; nothing here knows a store or a page."""
