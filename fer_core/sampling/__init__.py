"""How batches are drawn: class-balanced, of five-tuples, of identities, of triplets."""
