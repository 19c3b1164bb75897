"""Who did what, when. The lowest room: everyone writes to it, it reads nobody."""
