"""An app whose functions never close their sessions."""
