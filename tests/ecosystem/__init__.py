"""Well-known packages on the loop: one honest round trip each."""
