"""What is Google's alone: credentials, tokens, metadata server, monitored resource."""
