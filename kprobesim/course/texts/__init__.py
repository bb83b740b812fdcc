"""What the course says by itself, in each language."""
