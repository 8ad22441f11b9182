"""The models in pure torch: no scikit-learn, no skorch, no NumPy."""
