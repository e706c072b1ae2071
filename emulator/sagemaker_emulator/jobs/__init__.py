"""What training, processing and transform jobs do between Create and their end."""
