"""An app that makes stores at run time, and their tables itself."""
