"""An assignment is a folder; here it is parsed, checked and kept in versions."""
