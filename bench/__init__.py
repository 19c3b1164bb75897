"""Figures of the whole product on this machine, each beside what it is compared with. ``make bench`` runs all."""
