"""What a server holds: where objects lie, and the catalog that answers for them."""
