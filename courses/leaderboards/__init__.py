"""Ranking and ties, standings, and their rebuild from score events."""
