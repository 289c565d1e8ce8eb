"""`forklog tail`: follows the entries of an emulator, or of Cloud Logging, in a terminal."""
