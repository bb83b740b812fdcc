"""Lessons: load, check, progress, grade."""
