"""How an application sets forklog up as a whole, and asks it for all handlers at once."""
