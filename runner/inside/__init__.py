"""What is mounted read-only into every container and runs there: the launcher (process 1) and the preflight.

Standard library only, Python 3.8+: the image is anybody's. Each file is a program of its own; nothing here is secret.
"""
