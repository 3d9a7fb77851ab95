"""Referloop, the application. Importing this package does nothing."""
