"""What a process needs in which Python runs without its interpreter lock."""
