"""Scores that predict transfer from features (LogME, H-score), measured gains over random weights, and the gap between domains."""
