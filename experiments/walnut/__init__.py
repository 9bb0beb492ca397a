"""A measured scan: filters trained on it alone, judged by views that were kept back."""
