"""Who watches a training: each reads the public events, and knows nothing of what makes them."""
