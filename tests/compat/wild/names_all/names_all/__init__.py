"""An app whose class names everything that a portal has."""
