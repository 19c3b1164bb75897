"""Django's database backend for Postgres, whose pool hands out no connection that died with the server."""
