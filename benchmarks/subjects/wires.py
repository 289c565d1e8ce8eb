"""The wire of each subject that a server is started with, known without importing the subject."""

WIRES = {
    "stock-grpc": "grpc",
    "stock-http": "http",
    "bare": "http",
    "compiled": "http",
    "forklog": "http",
}
