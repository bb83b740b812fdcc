"""The words of the linear mode of the lab."""
