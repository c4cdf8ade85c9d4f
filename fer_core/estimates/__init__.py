"""Labels that the data set does not say, estimated and marked so."""
