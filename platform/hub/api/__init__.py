"""The REST API: parse, call a service or a query, answer. The command and the pages' scripts use it; no rule lives here."""
