"""The domain, one app a room. Imports go down only: notices, grading, leaderboards, submissions, assignments,
datasets and teams, roster, audit. The runner below knows none of them."""
