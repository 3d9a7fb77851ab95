"""The environment, read once at the doors."""
