"""Training: one loop for every model, its settings, checkpoints and what it reports while it runs."""
