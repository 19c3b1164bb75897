"""Versions of data, their splits and licences. Labels are handed to scoring jobs alone."""
