"""The HTTP door: webhooks, health, the JSON API and the console."""
