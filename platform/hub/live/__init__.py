"""Live events: a Channels layer on Postgres. Knows no course and no run, only groups and messages."""
