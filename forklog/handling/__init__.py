"""What a handler is made of, beside its class: its gate, its lines, what it adds to entries."""
