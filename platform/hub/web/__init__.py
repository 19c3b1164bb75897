"""Pages, forms and open sockets: parse, call a service or a query, render. No rule lives here."""
