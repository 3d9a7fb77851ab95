"""The same service as one would write it in an afternoon, for comparison: a view that checks the proof and puts a job
into Redis for each event, and the stock worker of RQ, which forks for each job and imports what that needs anew. It
keeps no event, notes no outcome and knows no limits; it does the same search and create."""
