"""What programs of pytentd import, in place of `tent.data`."""
