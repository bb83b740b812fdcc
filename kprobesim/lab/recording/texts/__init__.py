"""What the lab says: one table of texts for each language."""
