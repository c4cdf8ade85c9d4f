"""From a source folder to the rows of a catalog."""
