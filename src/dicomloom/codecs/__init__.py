"""Transfer syntaxes and what codes their pixels: one module a family."""
