"""The panels of the lab screen: each draws its part of a snapshot, at a fixed size."""
