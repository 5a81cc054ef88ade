"""The tests mirror the source: `tests/<layer>/test_<module>.py`. Shared fixtures are in `conftest.py`."""
