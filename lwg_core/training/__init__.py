"""Losses, data, trainer and personalization."""
