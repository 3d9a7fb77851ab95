"""The queue door: processes that work on what was kept."""
