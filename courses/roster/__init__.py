"""People, courses, roles, tokens. Every question of who may do what is answered here."""
