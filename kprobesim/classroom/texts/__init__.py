"""What is said about teacher and followers."""
