"""What is written after the bytes are down."""
