"""Teams and who is in them. Alone is a team of one."""
