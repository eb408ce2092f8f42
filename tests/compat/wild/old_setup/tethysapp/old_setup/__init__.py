"""An app below `tethysapp`, with an old `setup.py`."""
