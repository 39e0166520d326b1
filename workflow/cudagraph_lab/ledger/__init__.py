"""Every number of every data set, beside its predictions and verdicts."""
