"""Priority requests as clients send and see them: bodies in, views out."""
