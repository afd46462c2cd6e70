"""Benchmarks: the bus against what it would cost to do the same without it, in one run. ``python -m benchmarks``, or ``make bench``.

What is measured and what it does not show: docs/design/performance.md. Results: ``benchmarks/results/``.
"""
