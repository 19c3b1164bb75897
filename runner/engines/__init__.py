"""Engines run containers. ``runner.worker`` alone may import them."""
