"""The HTTP server: who may call, what is routed where."""
