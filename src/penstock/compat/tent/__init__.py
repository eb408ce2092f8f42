"""What programs of pytentd import, in place of `tent.data`: `dbm` and, for its tables, `user`."""
