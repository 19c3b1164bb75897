"""Runs, checkpoints, submissions: builds the jobs and reacts to their events."""
