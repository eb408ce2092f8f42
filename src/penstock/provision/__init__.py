"""Makes a store exist, or stop existing."""
