"""What comes in and goes out: arrays, rows, their moments and principal axes.

Knows nothing of training; imports `nn` alone.
"""
