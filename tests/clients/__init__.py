"""`make test-clients`: ordinary calls, made by ordinary clients."""
