"""An app whose initializer asks for its store through the app's own class."""
